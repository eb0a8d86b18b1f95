"""Named recipes of fine-tuning: those built in, and those of the `recipes:` section.

A recipe is what it says over the settings of `finetune:`, so that the recipes of one run have equal epochs, batches and
learning rates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml.comments import CommentedMap

from edgecheck.attribution.table import METHODS, trainable
from edgecheck.config import document
from edgecheck.errors import ConfigError
from edgecheck.registry import lookup
from edgecheck.steps import Recipe

NONE = "none"

_PLAIN: dict[str, Any] = {
    "freeze_batchnorm_statistics": False,
    "distill": 0.0,
    "preserve": None,
    "recalibrate_batchnorm": None,
}
# Over `finetune:`. `preserve` keeps the answers of the baseline and its Grad-CAM maps; models/resnet_cifar.md has the
# measurements. Park et al. 2020 have a weight of 4 (100 on unit maps of 7 x 7 pixels); 20 preserves more at no loss of
# accuracy, and 60 little more than 20. Frozen BatchNorm statistics keep more maps where little is pruned, and lose
# accuracy where much is.
BUILT_IN: dict[str, dict[str, Any]] = {
    NONE: {**_PLAIN, "epochs": 0, "epochs_between": 0},
    "paper": _PLAIN,
    "preserve": {
        **_PLAIN,
        "distill": 0.9,
        "preserve": {"method": "grad-cam", "weight": 20.0},
    },
}

# Part of the names of variants and controls, so of folders.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+]*(-[A-Za-z0-9_.+]+)*", re.ASCII)
_LIKE_A_SEED = re.compile(r"(.*-)?seed\d+", re.ASCII)  # as `control-seed1` is called


def spelled_out(
    here: Mapping[str, Any], written: CommentedMap, source: str, suited: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the sections of a configuration with every named recipe as a whole section under `recipes`.

    `finetune: NAME` becomes the settings of that recipe. Sections of another form are left for `document.structure` to
    refuse.

    Args:
        here: the sections.
        written: the document that they were read from.
        source: its path, for errors.
        suited: what the data set adds to recipes that are built in, such as the augmentation that suits its images.

    Raises:
        ConfigError: `finetune` names an unknown recipe, or a recipe has a name that is built in or cannot be one.
    """
    own, section = here.get("recipes", {}), here.get("finetune", {})
    if not isinstance(own, Mapping):
        return dict(here)
    for name in own:
        _check_name(name, f"{source}:{document.line_of(written, ('recipes', name))}")
    base = section if isinstance(section, Mapping) else {}
    known, below = {**BUILT_IN, **own}, suited or {}
    recipes = {
        name: _over({**below.get(name, {}), **base}, one) if isinstance(one, Mapping) else one
        for name, one in known.items()
    }
    whole = {**here, "recipes": recipes}
    if isinstance(section, str):
        where = f"{source}:{document.line_of(written, ('finetune',))}" if "finetune" in written else source
        whole["finetune"] = _of_name(recipes, section, f"{where}: finetune")
    return whole


def _over(base: Mapping[str, Any], recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe with the settings that it leaves to `finetune:`; one that trains nothing takes no losses."""
    untrained = "epochs" in recipe and recipe["epochs"] == 0
    return document.merge({**base, **_PLAIN} if untrained else base, recipe)


def _of_name(recipes: Mapping[str, Any], name: str, where: str) -> Any:
    try:
        return lookup(recipes, name, "recipe")
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _check_name(name: Any, where: str) -> None:
    if name in BUILT_IN:
        raise ConfigError(f"{where}: recipes.{name}: {', '.join(BUILT_IN)} are built in; choose another name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or _LIKE_A_SEED.fullmatch(name):
        raise ConfigError(
            f"{where}: recipes.{name}: a name has letters, digits and _ . + -, begins with a letter, and does not end "
            "in seed and a number"
        )


def check_all(
    train: Recipe, finetune: Recipe, recipes: Mapping[str, Recipe], written: CommentedMap, source: str
) -> None:
    """Check what single settings do not show: the trained maps, and which settings go together.

    Raises:
        ConfigError: a recipe that cannot be carried out; the message gives its line.
    """
    own = {name: recipe for name, recipe in recipes.items() if name not in BUILT_IN}
    sections: list[tuple[tuple[str, ...], Iterator[tuple[str, str]]]] = [
        (("train",), _without_baseline(train)),
        (("finetune",), problems(finetune)),
        *((("recipes", name), problems(recipe)) for name, recipe in own.items()),
    ]
    for place, setting, words in ((place, *problem) for place, wrong in sections for problem in wrong):
        steps = (*place, *setting.split("."))
        raise ConfigError(f"{source}:{document.line_of(written, steps)}: {'.'.join(steps)}: {words}")


def problems(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Yield each setting that a recipe cannot have, and why."""
    if recipe.preserve is not None:
        try:
            lookup(METHODS, recipe.preserve.method, "CAM method")
        except ConfigError as error:
            yield "preserve.method", str(error)
        if recipe.preserve.method not in trainable():
            known = ", ".join(trainable())
            yield "preserve.method", f"{recipe.preserve.method} has no gradient to train with; use one of {known}"
        if not recipe.epochs:
            yield "preserve", "heatmaps are kept by training, and epochs is 0; raise epochs or remove preserve"
    if recipe.recalibrate_batchnorm and recipe.epochs and not recipe.freeze_batchnorm_statistics:
        yield (
            "recalibrate_batchnorm",
            "training would replace the statistics; set freeze_batchnorm_statistics: true, or epochs: 0",
        )


def _without_baseline(train: Recipe) -> Iterator[tuple[str, str]]:
    """Yield the settings of `train:` that need a trained network."""
    if train.preserve is not None:
        yield "preserve", "training from scratch has no baseline whose heatmaps it could keep; remove it"
    if train.recalibrate_batchnorm is not None:
        yield "recalibrate_batchnorm", "belongs to finetune or recipes; remove it"
