"""Compression steps as JSON: the fields of the step, and its kind under `step`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from edgecheck.records.variant import OtherStep
from edgecheck.steps import STEPS, Step
from edgecheck.structuring import described

KIND = "step"


def register_steps(converter: Converter) -> None:
    """Have a converter write every step with its kind, and read it as the type that `STEPS` has for that kind.

    `STEPS` is asked for each step, so a type that a plugin registers later takes part.
    """
    converter.register_unstructure_hook_factory(_is_step, lambda kind: _writer(kind, converter))
    converter.register_structure_hook_factory(_is_step, lambda kind: _reader(kind, converter))


def _is_step(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Step)


def _writer(kind: Any, converter: Converter) -> Callable[[Any], Any]:
    if kind is Step:  # declared so in a record: the step itself knows its type
        return converter.unstructure
    if kind is OtherStep:
        return lambda step: {KIND: step.kind, **step.fields}
    write = make_dict_unstructure_fn(kind, converter)
    return lambda step: {KIND: kind.kind, **write(step)}


def _reader(kind: Any, converter: Converter) -> Callable[[Any, Any], Step]:
    if kind is Step:
        return lambda data, _: converter.structure(data, STEPS.get(_kind_of(data), OtherStep))
    if kind is OtherStep:
        return lambda data, _: OtherStep(_kind_of(data), _fields(data))
    read = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True)

    def convert(data: Any, _: Any) -> Step:
        if _kind_of(data) != kind.kind:
            raise ValueError(f"expected a step of kind {kind.kind!r}, not {described(_kind_of(data))}")
        step: Step = read(_fields(data), kind)
        return step

    return convert


def _kind_of(data: Any) -> str:
    kind = data.get(KIND) if isinstance(data, Mapping) else None
    if not isinstance(kind, str):
        raise ValueError(f"expected a compression step with its kind under {KIND!r}, not {described(data)}")
    return kind


def _fields(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != KIND}
