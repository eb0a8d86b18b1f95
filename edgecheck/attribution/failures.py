"""Errors in the code of a network, as one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgecheck.errors import EdgecheckError, ModelError


def reason(error: Exception) -> str:
    """Return the type and the first line of an error."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"


@contextmanager
def refused_in_one_line(network: str) -> Iterator[None]:
    """Convert errors of a network's code to a `ModelError` of one line; edgecheck's errors pass unchanged.

    Raises:
        ModelError: the block raised an error of another type.
    """
    try:
        yield
    except EdgecheckError:
        raise
    except Exception as error:  # a user's forward can raise anything
        raise ModelError(f"{network} cannot be explained: {reason(error)}") from error
