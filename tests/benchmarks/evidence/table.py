"""The results as Markdown tables. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from tests.benchmarks.evidence.analysis import ALL_KINDS, POOLED
from tests.benchmarks.evidence.variants import HARMFUL

Results = dict[str, Any]


def markdown(results: Results) -> str:
    """Return all tables."""
    parts = [
        ("Planted variants", planted(results)),
        ("AUC by reading and kind, pooled within subjects, matched", by_kind(results)),
        ("AUC by reading and subject", by_subject(results)),
        ("Thresholds chosen on the other two subjects", thresholds(results)),
        ("Gates chosen on the other two subjects", gates(results)),
        ("A gate of given readings", proposed(results)),
        ("Profiles", profiles(results)),
    ]
    return "\n\n".join(f"## {title}\n\n{_table(list(rows))}" for title, rows in parts)


def planted(results: Results) -> Iterator[list[str]]:
    """Yield a row per subject and kind: accuracy on the split in hand beside the benign one, and hidden harm."""
    yield ["subject", "kind", "split", "variants", "accuracy", "benign, same split", "raised error", "harm (pp)"]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in results["planted"]:
        groups.setdefault((row["subject"], row["kind"]), []).append(row)
    for (subject, kind), rows in groups.items():
        harm = [row["harm"] if row["harm"] is not None else row["hidden_error"] for row in rows]
        yield [
            *(subject, kind, rows[0]["split"], str(len(rows))),
            _span([row["accuracy"] for row in rows], "{:.1%}"),
            _number(rows[0]["benign_accuracy"], "{:.1%}"),
            rows[0]["shown_by"] or "worst of all",
            _span([100 * value for value in harm], "{:+.1f}"),
        ]


def pooled(results: Results) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return the matched AUC of all subjects together, by reading, what harm is compared with, and kind."""
    return {
        (row["metric"], row["against"], row["kind"]): row
        for row in results["auc"]
        if row["comparison"] == "matched" and row["subject"] == POOLED
    }


def ranked(found: dict[tuple[str, str, str], dict[str, Any]]) -> list[str]:
    """Return the readings by their AUC in all, highest first."""
    metrics = dict.fromkeys(metric for metric, *_ in found)
    return sorted(metrics, key=lambda metric: -found[metric, "benign", ALL_KINDS]["auc"])


def by_kind(results: Results) -> Iterator[list[str]]:
    """Yield a row per reading: AUC in all with its interval, per kind, against far variants, and of these."""
    yield ["reading", "all", *HARMFUL, "all, against far", "far against benign"]
    found = pooled(results)
    moved = {row["metric"]: row for row in results["movement"] if row["subject"] == POOLED}
    for metric in ranked(found):
        of_kinds = (_auc(found[metric, "benign", kind]) for kind in HARMFUL)
        far = _interval(found[metric, "far", ALL_KINDS])
        yield [metric, _interval(found[metric, "benign", ALL_KINDS]), *of_kinds, far, _auc(moved[metric])]


def by_subject(results: Results) -> Iterator[list[str]]:
    """Yield a row per reading: matched and natural AUC of each subject, and the correlation with the hidden error."""
    rows = [row for row in results["auc"] if row["kind"] == ALL_KINDS and row["against"] == "benign"]
    found = {(row["metric"], row["comparison"], row["form"], row["subject"]): row for row in rows}
    rho = {(row["metric"], row["subject"]): row for row in results["hidden_error"]}
    names = [subject["subject"] for subject in results["subjects"]]
    yield [
        "reading",
        *(f"{name}, matched" for name in names),
        "natural",
        "natural, to control",
        *(f"rho hidden, {name}" for name in names),
        *(f"rho noise, {name}" for name in names),
    ]
    for metric in dict.fromkeys(row["metric"] for row in rows):
        yield [
            metric,
            *(_auc(found[metric, "matched", "absolute", name]) for name in names),
            _auc(found[metric, "natural", "absolute", POOLED]),
            _auc(found[metric, "natural", "to control", POOLED]),
            *(_number(rho[metric, name]["hidden"]) for name in names),
            *(_number(rho[metric, name]["noise"]) for name in names),
        ]


def thresholds(results: Results) -> Iterator[list[str]]:
    """Yield a row per reading and form: balanced accuracy on each subject with the threshold of the others."""
    rows = results["thresholds"]
    names = list(dict.fromkeys(row["subject"] for row in rows))
    yield [
        "reading",
        "form",
        *(f"balanced accuracy, {name}" for name in names),
        *(f"limit for {name}" for name in names),
    ]
    keyed: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in rows:
        (criterion,) = row["criteria"]
        keyed.setdefault((criterion["metric"], criterion["form"]), {})[row["subject"]] = row
    for (metric, form), of in keyed.items():
        values = [_number(of[name]["balanced_accuracy"]) if name in of else "" for name in names]
        limits = [_number(of[name]["criteria"][0]["limit"], "{:.4g}") if name in of else "" for name in names]
        yield [metric, form, *values, *limits]


def gates(results: Results) -> Iterator[list[str]]:
    """Yield a row per gate chosen."""
    yield from _gate_rows(results["gates"])


def proposed(results: Results) -> Iterator[list[str]]:
    """Yield a row per subject for a gate of given readings: limits from the others, then from all."""
    yield from _gate_rows(results["proposed"])


def _gate_rows(rows: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    yield [
        *("tested on", "criteria: reading, form, limit as badness", "AUC where chosen", "AUC", "AUC against far"),
        *("balanced accuracy", "caught", "false alarms", "false alarms, far"),
    ]
    shown = ("auc_far", "balanced_accuracy", "caught", "false_alarms", "false_alarms_far")
    for row in rows:
        criteria = "; ".join(f"{one['metric']} ({one['form']}) {one['limit']:.4g}" for one in row["criteria"])
        rates = (_number(row[name]) for name in shown)
        yield [row["subject"], criteria, _number(row["auc_chosen_on"]), _interval(row), *rates]


def profiles(results: Results) -> Iterator[list[str]]:
    """Yield a row per profile and subject."""
    yield [
        *(
            "profile",
            "subject",
            "AUC",
            "AUC against far",
            "harmful that pass",
            "benign that pass",
            "far that pass",
            "benign, all splits",
        ),
        *("pairs of seeds", "seeds agree", "inconclusive"),
    ]
    for row in results["profiles"]:
        shares = [_passing(row["statuses"][label]) for label in ("harmful", "benign", "far", "matched")]
        pairs = [str(row["seed_pairs"]), _number(row["seeds_agree"], "{:.1%}"), _number(row["inconclusive"], "{:.1%}")]
        yield [row["profile"], row["subject"], _interval(row), _number(row["auc_far"]), *shares, *pairs]


def _passing(shares: dict[str, float]) -> str:
    return f"{shares.get('PASS', 0) + shares.get('WARN', 0):.0%}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _auc(row: dict[str, Any]) -> str:
    return _number(row["auc"])


def _interval(row: dict[str, Any]) -> str:
    return f"{_number(row['auc'])} ({_number(row['low'])}-{_number(row['high'])})"


def _number(value: float | None, form: str = "{:.2f}") -> str:
    return "" if value is None or math.isnan(value) else form.format(value)


def _span(values: Sequence[float | None], form: str) -> str:
    """Return the range of some values."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = form.format(min(known)), form.format(max(known))
    return low if low == high else f"{low} to {high}"
