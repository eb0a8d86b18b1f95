"""The learning rate over the course of a training."""

from __future__ import annotations

import math

from edgecheck.steps import Recipe

# He et al. 2016 on CIFAR-10: a tenth at one half and at three quarters of the training.
STEPS, STEP_FACTOR = (0.5, 0.75), 0.1


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Return the learning rate at `step` of `steps`, counted from 0.

    During `warmup_epochs` it rises linearly to the recipe's rate (Goyal et al. 2017, section 2.2). Then it stays
    constant (`constant`), decays towards 0 without restarts (`cosine`: Loshchilov & Hutter 2017, Eq. 5), or is divided
    by 10 after one half and after three quarters of the remaining steps (`step`).
    """
    rising = round(steps * min(recipe.warmup_epochs / max(recipe.epochs, 1), 1.0))
    if step < rising:
        return recipe.learning_rate * (step + 1) / rising
    done = (step - rising) / max(steps - rising, 1)
    if recipe.schedule == "cosine":
        return recipe.learning_rate * (1 + math.cos(math.pi * done)) / 2
    if recipe.schedule == "step":
        return recipe.learning_rate * STEP_FACTOR ** sum(done >= moment for moment in STEPS)
    return recipe.learning_rate
