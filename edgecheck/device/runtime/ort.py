"""Opens ONNX Runtime sessions with the settings that all measurements share, and shortens its error messages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from attrs import frozen

from edgecheck.errors import ConfigError, EdgecheckError, MeasurementError, ModelError

if TYPE_CHECKING:
    from edgecheck.config.plan import Measure

CPU = "CPUExecutionProvider"

FATAL_ONLY = 4  # ONNX Runtime also logs the errors that it raises; this log level hides them

_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (?:Load model from .*? failed:)?")
# "/a/b/model.cc:256 onnxruntime::Model::Model(onnx::ModelProto&&, bool) " or "utils.cc:15 FunctionName "
_ORIGIN = re.compile(r"\S+\.(?:cc|cpp|h|hpp):\d+ (?:[^()]*?::[^()]*\([^()]*\)(?: const)? |\w+ )")


LEVELS: dict[str, onnxruntime.GraphOptimizationLevel] = {
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "disabled": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


@frozen
class Options:
    """How ONNX Runtime runs a file.

    Attributes:
        threads: intra-op threads.
        provider: execution provider.
        graph_optimization: a key of `LEVELS`.
        denormal_as_zero: flush subnormal numbers to zero. The first session of a process decides for all others.
        exact_sums: avoid saturation of int8 sums on x86 CPUs without VNNI, which is slower.
    """

    threads: int = 1
    provider: str = CPU
    graph_optimization: str = "all"
    denormal_as_zero: bool = False
    exact_sums: bool = False

    @classmethod
    def of(cls, measure: Measure) -> Options:
        """Return the options that the `measure:` section of a plan asks for."""
        return cls(measure.intra_op_threads, measure.provider, measure.graph_optimization)


def require_provider(name: str, where: str = "measure.provider") -> None:
    """Refuse an execution provider that this ONNX Runtime does not have.

    Args:
        name: of the provider.
        where: the setting or option that asks for it, for the message.

    Raises:
        ConfigError: as said; the message lists those it has.
    """
    available = onnxruntime.get_available_providers()
    if name not in available:
        raise ConfigError(f"{where}: {name} is not in this ONNX Runtime: {', '.join(available)}")


def start(
    path: Path, options: Options, content: bytes | None = None, entries: Mapping[str, str] = {}, **extra: Any
) -> onnxruntime.InferenceSession:
    """Return a session that executes its nodes one after another.

    Args:
        path: the file.
        options: how it is run.
        content: a model made from the file, which is run instead of it.
        entries: further configuration entries of the session; ONNX Runtime ignores those that it does not know.
        **extra: further attributes of `onnxruntime.SessionOptions`.

    Raises:
        ConfigError: this ONNX Runtime does not have the provider.
        ModelError: ONNX Runtime cannot load the file; the message gives its reason.
    """
    require_provider(options.provider)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    settings.graph_optimization_level = LEVELS[options.graph_optimization]
    settings.log_severity_level = FATAL_ONLY
    # Sessions are timed in turn: threads of an idle one must not spin while another is timed.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    if options.denormal_as_zero:
        settings.add_session_config_entry("session.set_denormal_as_zero", "1")
    if options.exact_sums:
        settings.add_session_config_entry("session.x64quantprecision", "1")
    for name, text in entries.items():
        settings.add_session_config_entry(name, text)
    for name, value in extra.items():
        setattr(settings, name, value)
    try:
        return onnxruntime.InferenceSession(content or str(path), settings, providers=[options.provider])
    except Exception as error:  # ONNX Runtime's exceptions have no common base class
        raise ModelError(f"{path}: ONNX Runtime cannot load it ({one_line(error)})") from None


def run(
    path: Path,
    session: onnxruntime.InferenceSession,
    names: Sequence[str],
    feed: Mapping[str, np.ndarray],
    kind: type[EdgecheckError] = MeasurementError,
) -> list[np.ndarray]:
    """Return the named outputs of one run.

    Args:
        path: the file, for the message.
        session: an open session.
        names: the outputs.
        feed: the inputs, by name.
        kind: the error that is raised where the run fails.

    Raises:
        EdgecheckError: of this kind, the run failed.
    """
    try:
        return [np.asarray(value) for value in session.run(list(names), dict(feed))]
    except Exception as error:  # ONNX Runtime's exceptions have no common base class
        raise kind(f"{path}: the run failed ({one_line(error)})") from None


def one_line(error: Exception) -> str:
    """Return the first line of an ONNX Runtime error, without error code, C++ file and function name."""
    text = _ORIGIN.sub("", _PREFIX.sub("", str(error).strip()))
    return text.splitlines()[0].strip().rstrip(".") if text else type(error).__name__
