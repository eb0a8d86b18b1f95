"""The names of variants, which are those of their folders: short, and different where the variants differ."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator

from attrs import asdict

from edgecheck.pruning.structures import find_structure
from edgecheck.steps import PruneStep, Step

WORD = 40  # characters of an option in a folder's name; file systems take 255 for the whole name
DIGITS = 6  # of the hash of a word that was changed
RATES_DIGITS = 8  # of the hash of rates: of a thousand such names, two are equal once in 8,600 runs


def pruned(step: PruneStep, steps: int = 1) -> str:
    """Return the name of a network that is pruned in `steps` steps: what differs from the defaults, and the rates."""
    scope = step.scope if step.scope != find_structure(step.structure).default_scope else ""
    words = [step.criterion, step.structure, scope, *_rates(step), *_schedule(step, steps)]
    return "-".join(filter(None, words))


def _rates(step: PruneStep) -> Iterator[str]:
    """Yield the common rate, and the rates of single layers: one layer by its name, several as a hash."""
    own = step.rates or {}
    if step.rate or not own:
        yield share(step.rate)
    if len(own) == 1:
        yield from (f"{word(name)}-{share(rate)}" for name, rate in own.items())
    elif own:
        yield f"rates-{_hash(json.dumps(own, sort_keys=True), RATES_DIGITS)}"


def share(rate: float) -> str:
    """Return a rate with two decimals if it has no more, else with all: two rates must not share a name."""
    return f"{rate:.2f}" if round(rate, 2) == rate else repr(rate)


def _schedule(step: PruneStep, steps: int) -> Iterator[str]:
    """Yield the parts of a variant's name for options that differ from the defaults."""
    if steps > 1:
        yield f"{steps}steps"
    if step.round_to > 1:
        yield f"by{step.round_to}"


def words(step: Step) -> str:
    """Return the part of a variant's name for a step of a plugin: its kind and option values."""
    values = asdict(step).values()  # type: ignore[arg-type]
    return "-".join([step.kind, *map(word, values)])


def word(value: object) -> str:
    """Return a value as a part of a folder's name; one that was changed for it gets a hash, so that it stays unique."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    safe = re.sub(r"[^\w.+-]+", "_", text)[:WORD]
    return safe if safe == text else f"{safe}-{_hash(text)}"


def _hash(text: str, digits: int = DIGITS) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
