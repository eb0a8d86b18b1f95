"""The errors that edgecheck reports to users, and their exit codes.

    EdgecheckError            2  anything that the user can fix
    ├── UsageError            2  an option or an argument
    ├── ConfigError           2  edgecheck.yaml, a gate sentence, a recipe
    ├── InputError            2  a file or folder that cannot be read or written
    │   ├── DataError         2  images, labels, their folder or archive
    │   └── ModelError        2  an ONNX file, a factory, weights, a target layer
    │       └── NothingRemovedError   a pruning rate that is too low
    ├── DependencyError       2  a package that is not installed
    └── MeasurementError      3  valid input, but the measurement failed

A message is one line: what is wrong, where, and what to do about it.
"""

from __future__ import annotations

import signal

from edgecheck.text import shortened


class EdgecheckError(Exception):
    """Base of all errors that are shown to users as one line, without a traceback.

    What a message quotes from a file may be of any length: a long message keeps its two ends, what is wrong where, and
    what to do about it.
    """

    exit_code = 2

    def __str__(self) -> str:
        return shortened(super().__str__())


class UsageError(EdgecheckError):
    """An invalid option or argument."""


class ConfigError(EdgecheckError):
    """An invalid configuration."""


class InputError(EdgecheckError):
    """A file or folder that cannot be read or written."""


class DataError(InputError):
    """Images or labels that cannot be used."""


class ModelError(InputError):
    """A model file, factory, set of weights or layer name that cannot be used."""


class NothingRemovedError(ModelError):
    """A pruning rate so low that it removes nothing."""


class DependencyError(EdgecheckError):
    """A command needs a package that is not installed."""


class MeasurementError(EdgecheckError):
    """The input is valid, but the measurement failed."""

    exit_code = 3


class Stopped(BaseException):
    """A signal asked this process to end; not an Exception, so that error handlers do not catch it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number  # as shells report it
