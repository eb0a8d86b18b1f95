"""How the learning rate goes over a training."""

from __future__ import annotations

import math

from edgecheck.steps import Recipe

# He et al. 2016 on CIFAR-10: a tenth at one half and at three quarters of the training.
STEPS, STEP_FACTOR = (0.5, 0.75), 0.1


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Return the learning rate at `step` of `steps`, counted from 0.

    Over the first `warmup_epochs` it rises in equal steps to the recipe's rate (Goyal et al. 2017, 2.2). Then it stays
    (`constant`), falls towards 0 without restarts (`cosine`: Loshchilov & Hutter 2017, Eq. 5), or drops to a tenth at
    half and again at three quarters of what is left (`step`).
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
