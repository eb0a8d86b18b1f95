"""Building the network of a model specification: its factory is looked up and called, and the result is checked."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from edgecheck.config.plan import ModelSpec
from edgecheck.errors import ConfigError, DependencyError, ModelError
from edgecheck.images import ImageSet
from edgecheck.lab.compute import device_of
from edgecheck.lab.weights import load_weights
from edgecheck.lab.weights import save_weights as save_weights
from edgecheck.models import MODELS
from edgecheck.registry import lookup, nearest
from edgecheck.text import error_line, first_line

Factory = Callable[..., Any]
FORMS = "FILE.py:FUNCTION, torchvision:NAME, timm:NAME or edgecheck:NAME"


def build(spec: ModelSpec) -> nn.Module:
    """Return the network in eval mode, with the weights that the specification names.

    Raises:
        ConfigError: an unknown `torchvision:`, `timm:` or `edgecheck:` name.
        DependencyError: a `timm:` name, but timm is not installed.
        ModelError: no such factory, a factory that fails or returns no module, or weights that do not fit.
    """
    source, colon, name = spec.factory.rpartition(":")
    if not (source and colon and name):
        raise ModelError(f"{spec.factory}: no factory; write {FORMS}")
    if source == "torchvision":
        model = _call(spec, _torchvision(name))
    elif source == "timm":
        model = _call(spec, _timm(name))
    elif source == "edgecheck":
        module, _, function = lookup(MODELS, name, "edgecheck model").partition(":")
        model = _call(spec, getattr(importlib.import_module(module), function))
    else:
        with _importable(Path(source).resolve().parent):  # the call may import modules beside the file too
            model = _call(spec, _from_file(Path(source), name))
    if spec.weights is not None:
        load_weights(model, spec.weights)
    return model.eval()


def check_fits(model: nn.Module, data: ImageSet) -> None:
    """Put the model into eval mode, run it on a black image of the data's shape, and check its output.

    Raises:
        DataError: the network lacks an output that the data selects.
        ModelError: the network does not take such images, or returns fewer logits than there are labels.
    """
    shape = data.shape
    try:
        with torch.inference_mode():
            output = model.eval()(torch.zeros(1, *shape, device=device_of(model)))
    except Exception as error:  # whatever the network's own code raises
        raise ModelError(
            f"the network does not take images of (C, H, W) = {shape}: {first_line(error)}; see preprocessing.size"
        ) from None
    if not isinstance(output, Tensor) or output.ndim != 2:
        actual = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ModelError(f"the network must return logits of shape (N, classes), not {actual}")
    if data.selection:
        return data.selection.check("the network", output.shape[1])
    needed = int(data.labels.max()) + 1
    if output.shape[1] < needed:
        raise ModelError(
            f"the network gives {output.shape[1]} logits, but labels go to {needed - 1}: it needs {needed}"
        )


def _torchvision(name: str) -> Factory:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)  # classifiers only
    if name not in known:
        raise ConfigError(f"unknown torchvision model {name!r}{nearest(name, known)}")

    def factory(**arguments: Any) -> Any:
        return torchvision.models.get_model(name, weights=None, **arguments)

    return factory


def _timm(name: str) -> Factory:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise DependencyError(
            f"timm:{name}: {error.name} is not installed; run: pip install 'edgecheck[timm]'"
        ) from None

    if not timm.is_model(name):  # it ignores a tag, as in resnet18.a1_in1k
        raise ConfigError(f"unknown timm model {name!r}{nearest(name, timm.list_models())}")

    def factory(**arguments: Any) -> Any:
        return timm.create_model(name, pretrained=False, **arguments)

    return factory


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Put the folder first on sys.path, so that the file of a factory can import modules beside it."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:  # the file may have changed the path itself
            sys.path.remove(str(folder))


def _from_file(path: Path, name: str) -> Factory:
    if not path.is_file():
        raise ModelError(f"{path}: no such file; a factory is {FORMS}")
    module = _import(path)
    factory = getattr(module, name, None)
    if not callable(factory):
        own = {key: value for key, value in vars(module).items() if callable(value) and not key.startswith("_")}
        public = [key for key, value in own.items() if getattr(value, "__module__", None) == module.__name__]
        raise ModelError(f"{path}: no function {name!r}{nearest(name, public)}; it has {', '.join(public) or 'none'}")
    return factory


def _import(path: Path) -> ModuleType:
    # Named after its path, so that two files of the same name do not collide in sys.modules.
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    spec = importlib.util.spec_from_file_location(f"edgecheck_subject_{place}", path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path}: not a Python file; a factory is FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses and pickle look for it
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's file does
        del sys.modules[spec.name]
        raise ModelError(f"{path}: importing it fails: {_failure(error, path)}") from error
    return module


def _call(spec: ModelSpec, factory: Factory) -> nn.Module:
    try:
        model = factory(**spec.arguments)
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        file = Path(spec.factory.rpartition(":")[0])
        raise ModelError(f"{spec.factory} fails: {_failure(error, file)}") from error
    if not isinstance(model, nn.Module):
        raise ModelError(f"{spec.factory} must return a torch.nn.Module, not {type(model).__name__}")
    return model


def _failure(error: BaseException, file: Path) -> str:
    """Return type, message and place of an error; the place is the last line of `file` that led to it."""
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg} ({error.filename}:{error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve() == file.resolve()]
    frame = (own or list(frames))[-1]
    return f"{error_line(error)} ({frame.filename}:{frame.lineno})"
