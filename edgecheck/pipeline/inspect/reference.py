"""`edgecheck metrics` and `edgecheck criteria`: the names that gates and variants may use, and what they mean."""

from __future__ import annotations

from typing import Any

import attrs

from edgecheck.attribution.table import METHODS
from edgecheck.corruption.table import KINDS, LARGE_FROM, of_metric
from edgecheck.gate.sentence import SUFFIXES
from edgecheck.metrics import ANY_METHOD, METRICS, Metric, Unit, find, listed
from edgecheck.registry import lookup
from edgecheck.report.listing import Listing

# A limit in each unit, for the example of a gate sentence.
HIGHER_IS_BETTER: dict[Unit, str] = {"fraction": "95 %", "score": "0.95"}
LOWER_IS_BETTER: dict[Unit, str] = {
    "fraction": "5 %",
    "pp": "1 pp",
    "score": "0.05",
    "s": "5 ms",
    "bytes": "300 kB",
    "count": "10 M",
    "ratio": "0.6x",
    "logit": "0.001",
    "J": "5 mJ",
}


def metrics(name: str | None = None) -> Listing:
    """List the metrics of a gate with meaning, unit, better direction and source; or one of them in full.

    Raises:
        ConfigError: unknown name; the message has the nearest one.
    """
    if name is not None:
        metric = find(name)
        units = ", ".join(filter(None, SUFFIXES[metric.unit])) or "none"
        sign, limits = ("<=", LOWER_IS_BETTER) if metric.better == "lower" else (">=", HIGHER_IS_BETTER)
        example = f"{name} {sign} {limits[metric.unit]}"
        return _one(
            "metric", attrs.asdict(metric), {"units of a limit": units, "example": example, **_strength(metric)}
        )
    rows = [[m.name, m.better, m.unit, m.meaning, m.source] for m in listed()]
    columns = ["metric", "better", "unit", "meaning", "source"]
    data = {"metrics": [attrs.asdict(metric) for metric in METRICS.values()]}
    notes = [
        f"{ANY_METHOD} is one of {', '.join(METHODS)}",
        "bounds are inclusive; kB = 1000 bytes, KiB = 1024 bytes; `edgecheck metrics NAME` shows one metric",
    ]
    return Listing(
        "metrics", columns, rows, data, notes, text_columns=5, spare=("source",), wrapped=("meaning", "source")
    )


def _strength(metric: Metric) -> dict[str, str]:
    """Return how strong the corruption is that a metric is about; nothing for other metrics."""
    corruption = of_metric(metric.name)
    if corruption is None:
        return {}
    kind = KINDS[corruption.kind]
    small, large = (_text(strengths[corruption.severity - 1]) for strengths in (kind.small, kind.large))
    return {
        "strength": f"{kind.strength_is}: {small}; {large} for images of {LARGE_FROM} x {LARGE_FROM} pixels or more",
        "beside it": "accuracy_drop_pp: to a network that has lost everything, a corruption adds no error",
    }


def criteria(name: str | None = None) -> Listing:
    """List the pruning criteria with meaning, what they rank and source; or one of them in full.

    Raises:
        ConfigError: unknown name; the message has the nearest one.
    """
    from edgecheck.pruning.criteria import CRITERIA

    facts: dict[str, dict[str, Any]] = {
        key: {
            "name": key,
            "meaning": criterion.meaning,
            "ranks": list(criterion.ranks),
            "needs_images": criterion.needs_images,
            "source": criterion.source,
        }
        for key, criterion in CRITERIA.items()
    }
    if name is not None:
        lookup(CRITERIA, name, "criterion")
        structure = "filters" if "filters" in CRITERIA[name].ranks else "unstructured"
        example = f"{{criterion: [{name}], structure: [{structure}], rate: [0.2, 0.4]}}"
        return _one("criterion", facts[name], {"example": example})
    rows = [[_text(value) for value in fact.values()] for fact in facts.values()]
    columns = ["criterion", "meaning of the score", "ranks", "needs\nimages", "source"]
    notes = ["weights and filters with the lowest score are removed first; images are drawn from the training split"]
    wrapped = ("meaning of the score", "source")
    data = {"criteria": list(facts.values())}
    return Listing("pruning criteria", columns, rows, data, notes, 5, spare=("source",), wrapped=wrapped)


def _one(kind: str, facts: dict[str, Any], more: dict[str, str]) -> Listing:
    name, title = facts["name"], facts["meaning"]
    shown = {key: value for key, value in {**facts, **more}.items() if key not in ("name", "meaning")}
    rows = [[key.replace("_", " "), _text(value)] for key, value in shown.items()]
    return Listing(title, [kind, name], rows, facts, [], text_columns=2, wrapped=(name,))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
