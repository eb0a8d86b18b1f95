"""Where the scale of Sp2PS lies for a baseline: what heatmaps score that have nothing, or little, to do with it."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import optional

from edgecheck.records.checks import HOST, device_name, finite, not_negative, ordered


@frozen
class Mark:
    """An Sp2PS over `n` images, with the 95 % interval `low`..`high` where there is one.

    `value` is None where it could not be measured; `reason` then says why.
    """

    value: float | None = field(default=None, validator=optional(finite))
    low: float | None = field(default=None, validator=optional(finite))
    high: float | None = field(default=None, validator=[optional(finite), ordered])
    n: int = field(default=0, validator=not_negative)
    reason: str = ""


@frozen
class Anchor:
    """The scale of Sp2PS for the maps of a baseline by one attribution method.

    Attributes:
        method: the attribution method.
        source: what the baseline's maps were computed from, such as `twin` or `artefact`.
        chance: the baseline's maps against its maps of other images.
        head: against the maps of copies with random parameters in the last layer.
        all: against the maps of copies with random parameters in all layers.
        device: where the maps were computed, `host` or a key of the report's `environments`.
    """

    method: str
    source: str
    chance: Mark
    head: Mark
    all: Mark
    device: str = field(default=HOST, validator=device_name)
