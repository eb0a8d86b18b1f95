"""How the far variants are trained: harmless fine-tuning that moves a network farther than the benign variants move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Changes of a subject's recipe. Chosen by accuracy and hidden errors alone, before any heatmap of these files: at
# 0.005, ResNet-8 loses 2 pp against its baseline.
# Shifts by 4 pixels and mirror images are the usual augmentation of CIFAR-10; a mirrored digit is another sign.
RECIPES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "digits": {"augmented": {"crop": 4}, "higher-rate": {"learning_rate": 0.05}},
    "resnet8": {"augmented": {"crop": 4, "flip": True}, "higher-rate": {"learning_rate": 0.002}},
    "resnet20": {"augmented": {"crop": 4, "flip": True}, "higher-rate": {"learning_rate": 0.01}},
}


def changes(subject: str, kind: str) -> Mapping[str, Any]:
    """Return what a far kind changes in the recipe of a subject; nothing for the other kinds."""
    return RECIPES[subject].get(kind, {})
