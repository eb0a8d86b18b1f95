"""Read `edgecheck.yaml` into a `Plan`: the user's settings over the presets of the data set; errors give the line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve
from ruamel.yaml.comments import CommentedMap

from edgecheck import classes, images, plugins
from edgecheck.attribution.table import METHODS
from edgecheck.config import corruptions, document, gates, recipes, rows, variants
from edgecheck.config.plan import Plan
from edgecheck.config.sections import Document, GateDocument
from edgecheck.errors import ConfigError, DataError, ModelError
from edgecheck.hashing import sha256
from edgecheck.records import Policy
from edgecheck.registry import lookup
from edgecheck.regular import MOST_WEIGHT_BYTES, require_regular

PRESETS = "edgecheck.calibration"
# These keys belong together: a preset's mean and std apply only to the preset's range.
_NORMALIZATION = {"range", "mean", "std"}
REMEDY = "`edgecheck init` writes a commented template"
FACTORY_FORMS = "write path/file.py:function, torchvision:NAME, timm:NAME or edgecheck:NAME"


def load(path: Path, overrides: Mapping[str, Any] | None = None, criteria: Sequence[str] = ()) -> Plan:
    """Read a configuration file; `overrides` (from command-line options) take precedence.

    `criteria` of the command line replace those of the same metric and device.

    Raises:
        InputError: the file cannot be read.
        ConfigError: the configuration is not valid; the message gives file and line.
    """
    return evolve(parse(document.text_of(path, REMEDY), path, overrides or {}, criteria), source_sha256=sha256(path))


def parse(text: str, path: Path, overrides: Mapping[str, Any], criteria: Sequence[str] = ()) -> Plan:
    """Parse a configuration as `load` does; its relative paths are relative to the folder of `path`."""
    written = document.read(text, str(path)) if text else CommentedMap()
    plugins.load(_plugin_files(written, path.parent))  # before any name that they register is looked up
    # Paths in options are relative to the current folder.
    # A section that is not a mapping is kept as written, so that the error below gives its line.
    flags = {k: v for k, v in overrides.items() if not isinstance(v, Mapping) or _is_section(written.get(k))}
    here = document.merge(_absolute(written, path.parent), flags)
    if _names_a_profile(flags) and isinstance(here.get("gate"), Mapping):  # then it stands in place of the file's gate
        here["gate"] = {**here["gate"], "criteria": flags["gate"].get("criteria"), "drop": []}
    if isinstance(here.get("variants"), list):
        rows.check_rates(here["variants"], written, str(path))
        here["variants"] = [rows.with_others(row) if isinstance(row, Mapping) else row for row in here["variants"]]
    data = here.get("data")
    if isinstance(data, Mapping) and isinstance(data.get("classes"), str):
        here["data"] = data = {**data, "classes": classes.read_map(Path(data["classes"]))}
    dataset = data.get("dataset") if isinstance(data, Mapping) else None
    where = f"{path}:{document.line_of(written, ('data', 'dataset'))}" if written else str(path)
    below = preset(dataset, where) if isinstance(dataset, str) else {}
    here = recipes.spelled_out(here, written, str(path), below.pop("recipes", {}))
    said: dict[str, list[float]] = {}
    if dataset == "npz" and isinstance(data, Mapping) and "root" in data:
        if not Path(str(data["root"])).is_dir():
            require_regular(Path(str(data["root"])), error=DataError)
        # The data.npz of a run folder stores its normalization; other values would not fit the model.
        said = images.load_normalization(Path(str(data["root"])))
        below["preprocessing"] = {**below.get("preprocessing", {}), **said}
    own = here.get("preprocessing")
    named = isinstance(own, Mapping) and bool(_NORMALIZATION & set(own))
    if named:
        below["preprocessing"] = {k: v for k, v in below.get("preprocessing", {}).items() if k not in _NORMALIZATION}
    whole = document.structure(document.merge(below, here), Document, written, str(path))
    _check_methods(whole.explain.methods, written, str(path))
    recipes.check_all(whole.train, whole.finetune, whole.recipes, written, str(path))
    if whole.model is not None and whole.model.weights is not None:
        require_regular(whole.model.weights, MOST_WEIGHT_BYTES, ModelError)
    gate = gates.amended(gates.policy(whole.gate, written, str(path), overrides.get("gate", {})), criteria)
    plan = _plan(whole, written, path, gate)
    return evolve(plan, normalization_assumed=not (named or said))


def load_gate(path: Path) -> Policy:
    """Read the `gate:` section of a file and ignore the other sections."""
    source = str(path)
    written = document.read(document.text_of(path, REMEDY), source)
    plugins.load(_plugin_files(written, path.parent))
    part = {key: value for key, value in written.items() if key == "gate"}
    return gates.policy(document.structure(part, GateDocument, written, source).gate, written, source)


def preset(dataset: str, where: str = "") -> dict[str, Any]:
    """Return the defaults of a data set: its file in `calibration/`.

    Raises:
        ConfigError: the data set is unknown; the message lists the known ones.
    """
    return document.packaged(PRESETS, dataset, "data set", where)


def _plan(whole: Document, written: CommentedMap, path: Path, gate: Policy) -> Plan:
    if whole.model is not None and ":" not in whole.model.factory:
        line = document.line_of(written, ("model", "factory"))
        raise ConfigError(f"{path}:{line}: model.factory: {FACTORY_FORMS}")
    settings = variants.Settings(whole.finetune, whole.quantize, whole.seed, whole.recipes)
    return Plan(
        name=whole.name or path.stem,
        model=whole.model,
        data=whole.data,
        preprocessing=whole.preprocessing,
        explain=whole.explain,
        compute=whole.compute,
        train=whole.train,
        finetune=whole.finetune,
        prune=whole.prune,
        quantize=whole.quantize,
        variants=list(variants.expand(whole.variants, settings, written, str(path))),
        controls=list(variants.controls(settings, whole.controls, whole.variants)),
        measure=whole.measure,
        opset=whole.export.opset,
        policy=gate,
        seed=whole.seed,
        recipes=whole.recipes,
        search=whole.search,
        corruption=corruptions.asked_for(whole.corruption, gate, written, str(path)),
        plugins=_plugin_files(written, path.parent),
        source=path,
    )


def _plugin_files(written: CommentedMap, folder: Path) -> list[Path]:
    """Return the files listed under `plugins`; an invalid entry is reported later, with its line."""
    named = written.get("plugins")
    names = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    return [folder / os.path.expanduser(name) for name in names if isinstance(name, str)]


def _names_a_profile(flags: Mapping[str, Any]) -> bool:
    return flags.get("gate", {}).get("profile") is not None


def _is_section(value: Any) -> bool:
    return value is None or isinstance(value, Mapping)


def _absolute(written: CommentedMap, folder: Path) -> dict[str, Any]:
    """Return the document with the relative paths of `model` and `data` resolved against `folder`."""
    resolved = dict(written)
    for section, key in (("model", "factory"), ("model", "weights"), ("data", "root"), ("data", "classes")):
        part = resolved.get(section)
        if not isinstance(part, Mapping):
            continue
        value = part.get(key)
        if isinstance(value, str) and (key != "factory" or is_file_factory(value)):
            resolved[section] = {**part, key: str(folder / os.path.expanduser(value))}
    return resolved


def is_file_factory(factory: str) -> bool:
    """Whether a factory is `path/file.py:function`, not `torchvision:NAME`, `timm:NAME` or `edgecheck:NAME`."""
    return factory.rpartition(":")[0].endswith(".py")


def _check_methods(methods: list[str], written: CommentedMap, source: str) -> None:
    for index, method in enumerate(methods):
        try:
            lookup(METHODS, method, "CAM method")
        except ConfigError as error:
            line = document.line_of(written, ("explain", "methods", index))
            raise ConfigError(f"{source}:{line}: {error}") from None
