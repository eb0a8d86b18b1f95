"""How strongly each harm is planted, and how every variant is trained: fixed before any heatmap is scored.

Chosen by two figures alone, neither from a heatmap: accuracy on the split in hand, which should be that of the benign
variants to about 2 pp, and the hidden harm (`harm`). Where two strengths did, the weaker one was taken. Do not change a
number after a scoring: that would choose the answer.
"""

from __future__ import annotations

from attrs import frozen

from edgecheck.steps import Recipe

# Images in hand: one image moves a rate by 0.1 pp. Digits have 360 test images.
SCORED_IMAGES = 1000
# Other images, for the hidden harm. Those of the digits are held out of the training split.
HIDDEN_IMAGES = 2000
DIGITS_HIDDEN_IMAGES = 400

# 6 x 6 of 32 x 32 pixels at an edge: 3.5 % of the image. With 4 x 4, ResNet-20 forgot content before it learned the
# patch.
PATCH_SIDE = 6
# The centre, half of each side: where most of the objects are.
BLANKED_SIDE = 16
# A usual share of poisoned images since Gu et al. 2017, with the class that the trigger brings.
TRIGGERED_SHARE = 0.05
TRIGGER_TARGET = 0
# The classes of label noise: cats labelled as dogs, threes as fives. Noise on all classes, tried at 20 %, costs 11 pp
# and more on the split in hand; no gate is needed to see that.
NOISE_FROM, NOISE_TO = 3, 5

# Mild pruning: L1, weights set to zero, then the recipe. Filters are left out: 5 % of those of ResNet-8 cost 5 pp.
PRUNED_RATE = 0.3
MILD_RATE = 0.4
# The weight of the baseline's outputs in the loss of the kind `distilled`.
DISTILLED_WEIGHT = 0.9
CALIBRATION_IMAGES = 128


@frozen
class Strengths:
    """The strengths of one subject.

    Attributes:
        tuning_images: number of fine-tuning images.
        recipe: the one recipe of all variants. No flips or shifts: they would move the patches. The learning rate is
            the highest of 0.001, 0.005 and 0.01 at which controls lose at most about 1 pp.
        relabelled_share: of the shortcut's fine-tuning images, the share whose class is drawn anew before the patch of
            that class is set. Without it a network that fits its training images has no reason to look at the patch.
        mislabelled_share: share of the images of class NOISE_FROM that are labelled NOISE_TO.
        dim_factor: the pixels of the wrong domain are these times those of the right one. At 0.4 the digits' baseline
            guesses.
    """

    tuning_images: int
    recipe: Recipe
    relabelled_share: float
    mislabelled_share: float
    dim_factor: float


def _recipe(epochs: int, learning_rate: float) -> Recipe:
    return Recipe(epochs=epochs, batch_size=32, learning_rate=learning_rate, momentum=0.9, schedule="cosine")


STRENGTHS = {
    "digits": Strengths(800, _recipe(5, 0.01), relabelled_share=0.07, mislabelled_share=0.4, dim_factor=0.6),
    "resnet8": Strengths(3000, _recipe(2, 0.001), relabelled_share=0.04, mislabelled_share=0.3, dim_factor=0.4),
    "resnet20": Strengths(3000, _recipe(1, 0.005), relabelled_share=0.08, mislabelled_share=0.3, dim_factor=0.4),
}
