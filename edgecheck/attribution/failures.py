"""What a network's own code could not do, as one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgecheck.errors import EdgecheckError, ModelError


def reason(error: Exception) -> str:
    """Return the type and the first line of an error."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"


@contextmanager
def refused_in_one_line(network: str) -> Iterator[None]:
    """Turn whatever a network's code raises into a `ModelError` of one line; our own errors pass.

    Raises:
        ModelError: the code inside raised an error that is not ours.
    """
    try:
        yield
    except EdgecheckError:
        raise
    except Exception as error:  # a user's forward can raise anything at all
        raise ModelError(f"{network} cannot be explained: {reason(error)}") from error
