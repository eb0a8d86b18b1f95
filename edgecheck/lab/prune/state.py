"""What compression steps hand to each other: a network, what was removed from it, and the file that holds both."""

from __future__ import annotations

import copy
import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from attrs import field, frozen
from torch import Tensor, nn

from edgecheck.errors import ModelError
from edgecheck.lab.prune import surgery
from edgecheck.lab.prune.surgery import Cuts
from edgecheck.lab.user_traceback import place_of
from edgecheck.lab.weights import State, module_versions, set_module_versions
from edgecheck.records import Diagnostic

METADATA = "state"  # the one key of the file's metadata: the order of several would differ from file to file


@frozen(eq=False)
class Compressed:
    """A network that compression steps have left.

    Attributes:
        model: the network.
        masks: bool tensors by parameter name, each of the shape of its parameter, True where a weight is kept. Empty
            where channels were removed instead.
        cuts: the channels that the network lacks compared with the baseline, by module name and side `out` or `in`.
            With them the baseline takes this shape (`surgery.remove`).
        units: for filters that are masked until the last step of a schedule, the removed units of each dependency
            group by its root, bool `(n,)`; after the last step, those that were removed.
        effective_rate: the share of the prunable weights that is zero, or of the prunable filters that was removed.
        notes: what the last pruning step left alone, and why. They describe how the network was made, not the network:
            `save_state` does not write them.
    """

    model: nn.Module
    masks: dict[str, Tensor] = field(factory=dict)
    cuts: dict[tuple[str, str], list[int]] = field(factory=dict)
    units: dict[str, Tensor] = field(factory=dict)
    effective_rate: float = 0.0
    notes: list[Diagnostic] = field(factory=list)


def uncompressed(model: nn.Module) -> Compressed:
    """Return the state before the first step: a copy of `model`."""
    return Compressed(copy.deepcopy(model))


def save_state(state: Compressed, path: Path) -> None:
    """Write a state as one .safetensors file; equal states give equal bytes.

    Masks that keep everything and units of which none is removed are left out, since they say nothing. The caller sees
    to it that `path` appears whole or not at all.
    """
    weights = state.model.state_dict()
    tensors = {f"weight:{name}": value for name, value in weights.items()}
    tensors |= {f"mask:{name}": mask for name, mask in state.masks.items() if not mask.all()}
    tensors |= {f"units:{root}": removed for root, removed in state.units.items() if removed.any()}
    document = {
        "cuts": cuts_to_json(state.cuts),
        "effective_rate": state.effective_rate,
        "module_versions": module_versions(weights),
    }
    # Clones, since safetensors refuses tensors that share memory (tied weights) or lie in another order of axes.
    copies = {name: value.cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    path.write_bytes(safetensors.torch.save(copies, {METADATA: json.dumps(document, sort_keys=True)}))


def load_state(path: Path, baseline: nn.Module, example: Tensor) -> Compressed:
    """Return the state that `save_state` wrote, in eval mode and without notes.

    Args:
        path: the file.
        baseline: the network before the first step. It is copied, brought into the saved shape, and given the saved
            weights.
        example: one input float32 `(1, C, H, W)`, of which only the shape matters.

    Raises:
        ModelError: an unreadable file, or one of another network.
    """
    try:
        tensors, document = _read(path)
        cuts = cuts_from_json(document["cuts"])
        rate = float(document["effective_rate"])
        weights: State = OrderedDict(tensors["weight"])
        set_module_versions(weights, document["module_versions"])
    except Exception as error:  # safetensors and JSON raise many kinds for broken files
        raise ModelError(f"{path}: not a readable state of a pruned network ({error})") from None
    try:
        model = surgery.reshaped(baseline, cuts, example).eval()
        model.load_state_dict(weights)
    except Exception as error:  # cuts of another network may fail in any way
        raise ModelError(f"{path}: does not fit the network: {place_of(error)}") from error
    return Compressed(model, tensors["mask"], cuts, tensors["units"], rate)


def cuts_to_json(cuts: Cuts) -> dict[str, list[int]]:
    """Return cuts with keys such as `conv1 out`, as JSON takes them."""
    return {f"{module} {side}": list(channels) for (module, side), channels in cuts.items()}


def cuts_from_json(cuts: Mapping[str, Any]) -> dict[tuple[str, str], list[int]]:
    """Return the cuts that `cuts_to_json` made."""
    pairs = {key: key.rsplit(" ", 1) for key in cuts}
    return {(module, side): list(cuts[key]) for key, (module, side) in pairs.items()}


def _read(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Return the tensors by kind and name, and the document in the metadata."""
    tensors: dict[str, dict[str, Tensor]] = {"weight": {}, "mask": {}, "units": {}}
    with safetensors.safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118  (not a mapping)
            kind, _, name = key.partition(":")
            tensors[kind][name] = file.get_tensor(key)
        return tensors, json.loads(file.metadata()[METADATA])
