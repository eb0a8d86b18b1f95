"""Code that is not edgecheck's own, of a model or a plugin: whatever it raises becomes an error of one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgecheck.errors import EdgecheckError, ModelError
from edgecheck.text import error_line


@contextmanager
def blamed(failure: str) -> Iterator[None]:
    """Turn what the block raises into a `ModelError` that begins with `failure`; our own errors pass.

    Raises:
        ModelError: the block raised an error that is not ours.
    """
    try:
        yield
    except EdgecheckError:
        raise
    except Exception as error:  # foreign code can raise anything at all
        raise ModelError(f"{failure}: {error_line(error)}") from error
