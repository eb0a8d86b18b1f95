"""ONNX Runtime opened in the one way that everything here is measured, and its errors in one line."""

from __future__ import annotations

import re
from pathlib import Path

import onnxruntime

from edgecheck.errors import ModelError

PROVIDER = "CPUExecutionProvider"

FATAL_ONLY = 4  # ONNX Runtime writes its errors to stderr as well as raising them; once is enough

_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (?:Load model from .*? failed:)?")
# "/a/b/model.cc:256 onnxruntime::Model::Model(onnx::ModelProto&&, bool) " or "utils.cc:15 FunctionName "
_ORIGIN = re.compile(r"\S+\.(?:cc|cpp|h|hpp):\d+ (?:[^()]*?::[^()]*\([^()]*\)(?: const)? |\w+ )")


def start(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """Return a session on the CPU that runs one node at a time, on `threads` threads within a node.

    Raises:
        ModelError: ONNX Runtime cannot run such a file; the message has its reason.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = FATAL_ONLY
    # Several sessions are timed in turn: an idle one must not go on spinning beside the one that is timed.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[PROVIDER])
    except Exception as error:  # the classes of ONNX Runtime have no base of their own
        raise ModelError(f"{path}: ONNX Runtime cannot load it ({one_line(error)})") from None


def one_line(error: Exception) -> str:
    """Return the first line of what ONNX Runtime says, without error code, C++ file and function."""
    text = _ORIGIN.sub("", _PREFIX.sub("", str(error).strip()))
    return text.splitlines()[0].strip().rstrip(".") if text else type(error).__name__
