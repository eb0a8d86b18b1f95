"""Weights in files: reading them without running code, checking that they fit, writing them, their fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from edgecheck.errors import ModelError
from edgecheck.regular import MOST_WEIGHT_BYTES, require_regular
from edgecheck.text import first_line

NAMED = 3  # how many tensors a message names before it says how many more there are
TORCH_SUFFIXES = (".pt", ".pth", ".th")
NESTINGS = ("state_dict", "model_state_dict", "model")  # where training scripts commonly keep the weights
PARALLEL_PREFIX = "module."  # what torch.nn.DataParallel puts before every name
COUNTER = "num_batches_tracked"  # absent from files before PyTorch 0.4.1, and of no effect on inference
VERSIONS = "module_versions"  # under this key a .safetensors file keeps the modules' versions, as JSON

State = OrderedDict[str, Tensor]
"""A state_dict. Its attribute `_metadata` has the version of each module, which some modules load their weights by."""


def load_weights(model: nn.Module, path: Path) -> None:
    """Read .safetensors, or a .pt/.pth/.th of plain tensors, into `model`; no code of the file is ever run.

    A dictionary nested under `state_dict` and the `module.` prefix of DataParallel are seen through. A file that does
    not name the version of a module is taken for one of the current version.

    Raises:
        ModelError: missing, unreadable or unsafe file; names or shapes that do not fit; NaN or infinite weights.
    """
    expected = model.state_dict()
    state = _unwrapped(path, _read(path))
    state |= {name: value for name, value in expected.items() if name.endswith(COUNTER) and name not in state}
    set_module_versions(state, {**module_versions(expected), **module_versions(state)})
    _check_fit(path, state, expected)
    try:
        _check_finite(path, state)
        model.load_state_dict(state)
    except ModelError:
        raise
    except Exception as error:  # tensors without data, sparse or quantized ones; modules with a rule of their own
        raise ModelError(f"{path}: these weights cannot be loaded ({first_line(error)})") from None


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the model's state as .safetensors; equal states give equal bytes.

    The caller sees to it that `path` appears whole or not at all.
    """
    # Clones, since safetensors refuses tensors that share memory (tied weights) or lie in another order of axes.
    state = model.state_dict()
    tensors = {name: value.clone(memory_format=torch.contiguous_format) for name, value in state.items()}
    versions = json.dumps(module_versions(state), sort_keys=True)
    path.write_bytes(safetensors.torch.save(tensors, metadata={VERSIONS: versions}))


def snapshot(model: nn.Module) -> State:
    """Return a copy of the model's state that `load_state_dict` restores, whatever happens to the model meanwhile."""
    state: State = OrderedDict((name, value.detach().clone()) for name, value in model.state_dict().items())
    set_module_versions(state, module_versions(model.state_dict()))
    return state


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of named tensors, such as a state_dict: names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def module_versions(state: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the version of each module by its name; nothing where the state names none."""
    known = getattr(state, "_metadata", None)
    entries = known.items() if isinstance(known, Mapping) else ()
    versions = {str(name): entry.get("version") for name, entry in entries if isinstance(entry, Mapping)}
    return {name: version for name, version in versions.items() if isinstance(version, int)}


def set_module_versions(state: State, versions: Mapping[str, int]) -> None:
    """Give a state the versions of its modules, by which `load_state_dict` reads it."""
    vars(state)["_metadata"] = {name: {"version": version} for name, version in versions.items()}


def _read(path: Path) -> object:
    require_regular(path, MOST_WEIGHT_BYTES, ModelError)
    if not path.is_file():
        raise ModelError(f"{path}: no such file; give the weights as .safetensors or {', '.join(TORCH_SUFFIXES)}")
    if path.suffix == ".safetensors":
        try:
            return _read_safetensors(path)
        except (safetensors.SafetensorError, OSError, ValueError, RecursionError) as error:
            raise ModelError(f"{path}: not a readable .safetensors file ({error})") from None
    if path.suffix in TORCH_SUFFIXES:
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # torch raises many kinds for broken files and for such as want to run code
            raise ModelError(
                f"{path}: broken, or not made of plain tensors; save model.state_dict(), "
                "since reading whole pickled objects would run their code"
            ) from None
    raise ModelError(
        f"{path}: weights must be .safetensors or {', '.join(TORCH_SUFFIXES)}, not {path.suffix or 'without suffix'}"
    )


def _read_safetensors(path: Path) -> State:
    with safetensors.safe_open(path, framework="pt") as file:
        state: State = OrderedDict((name, file.get_tensor(name)) for name in file.keys())  # noqa: SIM118  (no mapping)
        versions = json.loads((file.metadata() or {}).get(VERSIONS, "{}"))
    if not isinstance(versions, dict) or not all(isinstance(version, int) for version in versions.values()):
        raise ValueError(f"its {VERSIONS} are not whole numbers by module name")
    set_module_versions(state, versions)
    return state


def _unwrapped(path: Path, content: object) -> State:
    for key in NESTINGS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(_is_named_tensor(*item) for item in content.items()):
        raise ModelError(f"{path}: holds no dictionary of named tensors; save model.state_dict()")
    prefix = PARALLEL_PREFIX if content and all(name.startswith(PARALLEL_PREFIX) for name in content) else ""
    state: State = OrderedDict((name.removeprefix(prefix), value) for name, value in content.items())
    # A module's name has no dot at the end; DataParallel's own version, without the prefix, does not count.
    dotted = {f"{name}.": version for name, version in module_versions(content).items()}
    own = {name: version for name, version in dotted.items() if name.startswith(prefix)}
    set_module_versions(state, {name.removeprefix(prefix)[:-1]: version for name, version in own.items()})
    return state


def _is_named_tensor(name: object, value: object) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor)


def _check_fit(path: Path, state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    common = [name for name in expected if name in state]
    shapes = [
        f"{name} is {tuple(state[name].shape)}, the network's is {tuple(expected[name].shape)}"
        for name in common
        if state[name].shape != expected[name].shape
    ]
    kinds = [
        f"{name} is {state[name].dtype}, the network's is {expected[name].dtype}"
        for name in common
        if state[name].is_floating_point() != expected[name].is_floating_point() or state[name].is_complex()
    ]
    faults = [
        _some("missing", [name for name in expected if name not in state]),
        _some("unexpected", [name for name in state if name not in expected]),
        _some("of another shape", shapes),
        _some("of another kind", kinds),
    ]
    if any(faults):
        raise ModelError(f"{path}: these weights are not for this network; {'; '.join(filter(None, faults))}")


def _check_finite(path: Path, state: Mapping[str, Tensor]) -> None:
    broken = [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise ModelError(f"{path}: {_some('NaN or infinite', broken)}; train again, or take an earlier checkpoint")


def _some(fault: str, names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{fault}: {', '.join(names[:NAMED])}{more}" if names else ""
