"""Everything that edgecheck refuses, and the exit code each refusal ends in.

    EdgecheckError            2  whatever the user can mend
    ├── UsageError            2  a flag or an argument
    ├── ConfigError           2  edgecheck.yaml, a gate sentence, a recipe
    ├── InputError            2  a file or folder that cannot be read or written
    │   ├── DataError         2  images, labels, their folder or archive
    │   └── ModelError        2  an ONNX file, a factory, weights, a target layer
    ├── DependencyError       2  a part of edgecheck that is not installed here
    └── MeasurementError      3  the input was fine, the measurement could not be made

A message is one line that names what is wrong, where, and what to do about it.
"""

from __future__ import annotations

import signal


class EdgecheckError(Exception):
    """Base of all errors a user is shown as one line, without a traceback."""

    exit_code = 2


class UsageError(EdgecheckError):
    """A flag or an argument that makes no sense."""


class ConfigError(EdgecheckError):
    """A configuration that cannot be carried out as written."""


class InputError(EdgecheckError):
    """A file or folder that cannot be read or written."""


class DataError(InputError):
    """Images or labels that cannot be used."""


class ModelError(InputError):
    """A model file, factory, set of weights or layer name that cannot be used."""


class DependencyError(EdgecheckError):
    """A command needs a package that is not installed here."""


class MeasurementError(EdgecheckError):
    """The input was fine, but the measurement could not be made."""

    exit_code = 3


class Stopped(BaseException):
    """A signal asked this process to end; not an Exception, so that no handler of other errors takes it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number  # as shells report it
