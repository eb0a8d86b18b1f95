"""ONNX Runtime opened in the one way that everything here is measured, and its errors in one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import onnxruntime
from attrs import frozen

from edgecheck.errors import ConfigError, ModelError

CPU = "CPUExecutionProvider"

FATAL_ONLY = 4  # ONNX Runtime writes its errors to stderr as well as raising them; once is enough

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
    """How a file is run: threads within a node, on whose kernels, after how much rewriting of its graph (`LEVELS`).

    `denormal_as_zero` holds for all sessions of a process if its first one has it, and for none otherwise. With
    `exact_sums` int8 sums do not saturate on x86 CPUs without VNNI; that is slower.
    """

    threads: int = 1
    provider: str = CPU
    graph_optimization: str = "all"
    denormal_as_zero: bool = False
    exact_sums: bool = False


def start(path: Path, options: Options, **extra: Any) -> onnxruntime.InferenceSession:
    """Return a session that runs one node at a time.

    Args:
        path: the file.
        options: how it is run.
        **extra: further attributes of `onnxruntime.SessionOptions`.

    Raises:
        ConfigError: this ONNX Runtime has no such provider.
        ModelError: ONNX Runtime cannot run such a file; the message has its reason.
    """
    available = onnxruntime.get_available_providers()
    if options.provider not in available:
        raise ConfigError(f"measure.provider: {options.provider} is not in this ONNX Runtime: {', '.join(available)}")
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    settings.graph_optimization_level = LEVELS[options.graph_optimization]
    settings.log_severity_level = FATAL_ONLY
    # Several sessions are timed in turn: an idle one must not go on spinning beside the one that is timed.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    if options.denormal_as_zero:
        settings.add_session_config_entry("session.set_denormal_as_zero", "1")
    if options.exact_sums:
        settings.add_session_config_entry("session.x64quantprecision", "1")
    for name, value in extra.items():
        setattr(settings, name, value)
    try:
        return onnxruntime.InferenceSession(str(path), settings, providers=[options.provider])
    except Exception as error:  # the classes of ONNX Runtime have no base of their own
        raise ModelError(f"{path}: ONNX Runtime cannot load it ({one_line(error)})") from None


def one_line(error: Exception) -> str:
    """Return the first line of what ONNX Runtime says, without error code, C++ file and function."""
    text = _ORIGIN.sub("", _PREFIX.sub("", str(error).strip()))
    return text.splitlines()[0].strip().rstrip(".") if text else type(error).__name__
