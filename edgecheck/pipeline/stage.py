"""A stage: a frozen record of everything its computation reads, and the computation.

The record is the cache key: what `compute` does not find in its own fields it cannot know, so nothing that a result
depends on can be missing from the key. Records are picklable: specifications, paths and hashes, no open handles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import attrs
from attrs import frozen

from edgecheck import versions
from edgecheck.artefact import Artefact, is_locator
from edgecheck.hashing import digest
from edgecheck.progress import Progress
from edgecheck.steps import Step

Outputs = TypeVar("Outputs")


@frozen
class Desk:
    """Where a stage works. Nothing here is read for a result.

    `folder` takes the files of the stage, `scratch` large temporary files; `progress` is told what goes on.
    """

    folder: Path
    scratch: Path
    progress: Progress


class Stage(Generic[Outputs]):
    """Base of all stages, which are frozen attrs records.

    Attributes:
        kind: name of the stage, and of its JSON file unless `name` says otherwise.
        version: raised whenever the computation changes its results.
        tools: the packages whose versions the result depends on.
        outputs: the type of the outputs record.
        alone: it measures time, so nothing else of the run may run beside it.
    """

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    tools: ClassVar[Sequence[str]] = ()
    outputs: ClassVar[type]
    alone: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Name of the stage's JSON file in the folder of its variant; more than the kind where there are several."""
        return self.kind

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that belong to the result."""
        return ()

    @property
    def plugins(self) -> tuple[Artefact, ...]:
        """The plugin files whose code the computation runs."""
        return ()

    def compute(self, desk: Desk) -> Outputs:
        """Return the outputs and write `files` into `desk.folder`."""
        raise NotImplementedError


def inputs_of(stage: Stage[Any], installed: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return all that the key of a stage is made of, JSON-able.

    Args:
        stage: the stage.
        installed: what `versions.depended_on` says of its tools; looked up by default.
    """
    return {
        "stage": stage.kind,
        "version": stage.version,
        "inputs": keyed(stage),
        "plugins": keyed(stage.plugins),
        "versions": dict(versions.depended_on(stage.tools) if installed is None else installed),
    }


def key_of(stage: Stage[Any]) -> str:
    """Return the hash by which a stage's result is found again."""
    return digest(inputs_of(stage))


def keyed(value: Any) -> Any:
    """Return a value as JSON-able data, without locators.

    Raises:
        TypeError: the value holds something that has no content to compare, such as a function or an open file.
    """
    if attrs.has(type(value)):
        kind = {"step": value.kind} if isinstance(value, Step) else {}
        return kind | {
            one.name: keyed(getattr(value, one.name)) for one in attrs.fields(type(value)) if not is_locator(one)
        }
    if isinstance(value, Mapping):
        return {str(key): keyed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [keyed(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot be an input of a stage")
