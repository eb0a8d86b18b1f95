"""A stage: a frozen record of all inputs of a computation, and the computation.

The fields of the record are the cache key. `compute` receives nothing else, so the key cannot miss anything that the
result depends on. Records are picklable: specifications, paths and hashes, no open handles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import attrs
from attrs import frozen

from edgecheck import versions
from edgecheck.artefact import Artefact, is_locator, is_unset
from edgecheck.hashing import digest
from edgecheck.progress import Progress
from edgecheck.steps import Step

Outputs = TypeVar("Outputs")


@frozen
class Desk:
    """Where a stage works. A result does not depend on it.

    `folder` is for the files of the stage, `scratch` for large temporary files; `progress` receives the progress.
    """

    folder: Path
    scratch: Path
    progress: Progress


class Stage(Generic[Outputs]):
    """Base of all stages, which are frozen attrs records.

    Attributes:
        kind: name of the stage, and of its JSON file unless `name` says otherwise.
        version: increased whenever a change of the computation changes results.
        tools: the packages whose versions the result depends on.
        outputs: the type of the outputs record.
        alone: the stage measures time, so no other stage of the run may run at the same time.
    """

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    tools: ClassVar[Sequence[str]] = ()
    outputs: ClassVar[type]
    alone: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Name of the stage's JSON file in the folder of its variant; longer than the kind if there are several."""
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
    """Return everything that the key of a stage is computed from, as JSON-able data.

    Args:
        stage: the stage.
        installed: the result of `versions.depended_on` for its tools; looked up by default.
    """
    return {
        "stage": stage.kind,
        "version": stage.version,
        "inputs": keyed(stage),
        "plugins": keyed(stage.plugins),
        "versions": dict(versions.depended_on(stage.tools) if installed is None else installed),
    }


def key_of(stage: Stage[Any]) -> str:
    """Return the cache key of a stage."""
    return digest(inputs_of(stage))


def keyed(value: Any) -> Any:
    """Return a value as JSON-able data, without locators and without later fields that have their default.

    Raises:
        TypeError: the value contains something without comparable content, such as a function or an open file.
    """
    if attrs.has(type(value)):
        kind = {"step": value.kind} if isinstance(value, Step) else {}
        values = [(one, getattr(value, one.name)) for one in attrs.fields(type(value)) if not is_locator(one)]
        return kind | {one.name: keyed(of) for one, of in values if not is_unset(one, of)}
    if isinstance(value, Mapping):
        return {str(key): keyed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [keyed(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot be an input of a stage")
