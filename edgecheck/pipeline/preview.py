"""What a run, sweep or search would make, measure and judge: of its plan alone, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict

from edgecheck.config.branches import Branch
from edgecheck.config.plan import Plan, VariantSpec
from edgecheck.pipeline import preflight
from edgecheck.records import Criterion, Policy
from edgecheck.registry import nearest
from edgecheck.report.compression import describe_step
from edgecheck.report.format import format_count, format_criterion, format_value
from edgecheck.report.listing import Listing

_MADE = ["variant", "role", "steps", "finished\nstages"]
_SEARCHED = ["branch", "variants", "smallest change", "largest change"]


def of_run(plan: Plan, folder: Path) -> Listing:
    """Return what `run` or `sweep` would do with a plan whose results go to a folder.

    Raises:
        EdgecheckError: the configuration alone shows that a variant cannot be made.
    """
    preflight.variants(plan)
    specs = [*plan.controls, *plan.variants]
    finished = {name: _finished(folder / name) for name in ("baseline", *(spec.name for spec in specs))}
    rows = [["baseline", "baseline", "none", str(finished["baseline"])]]
    rows += [[spec.name, _role(spec), _steps(spec), str(finished[spec.name])] for spec in specs]
    made = [
        {"name": spec.name, "role": _role(spec), "recipe": spec.recipe, "steps": list(map(describe_step, spec.steps))}
        for spec in specs
    ]
    names = [spec.name for spec in plan.variants]
    stages = sum(finished.values())
    data = {"made": made, **_data(plan), "finished_stages": finished}
    title = f"{plan.name}: {format_count(len(names), 'variant')} to make, measure and judge; nothing is written"
    return Listing(title, _MADE, rows, data, [*_notes(plan, names), _reused(folder, stages)], 3, wrapped=["steps"])


def of_search(plan: Plan, searched: Sequence[Branch], folder: Path) -> Listing:
    """Return what `search` would choose from, and judge by.

    Raises:
        EdgecheckError: the files that the configuration names are missing.
    """
    preflight.files(plan, preflight.need_weights(plan))
    rows = [
        [one.label, str(len(one.specs)), *(_steps(spec) for spec in (one.specs[0], one.specs[-1]))] for one in searched
    ]
    made = [{"branch": one.label, "variants": [spec.name for spec in one.specs]} for one in searched]
    names = [spec.name for one in searched for spec in one.specs]
    data = {"made": made, **_data(plan), "minimize": plan.search.minimize}
    title = f"{plan.name}: a search for the variant with the least {plan.search.minimize}; nothing is written"
    notes = [*_notes(plan, names), _reused(folder, sum(map(_finished, [folder, *_folders(folder / "search")])))]
    return Listing(title, _SEARCHED, rows, data, notes, 4, wrapped=_SEARCHED[2:])


def _role(spec: VariantSpec) -> str:
    return "control" if spec.is_control else "candidate"


def _steps(spec: VariantSpec) -> str:
    return "; ".join(filter(None, map(describe_step, spec.steps))) or "none"


def _data(plan: Plan) -> dict[str, Any]:
    policy = plan.policy
    return {
        "measured": {
            "dataset": plan.data.dataset,
            "images": plan.data.limit,
            "methods": list(plan.explain.methods),
            "corruption": [one.name for one in plan.corruption],
            "latency_budget_s": plan.measure.latency_budget_s,
            "intra_op_threads": plan.measure.intra_op_threads,
            "rss": plan.measure.rss,
        },
        "judged": {
            "profile": policy.profile,
            "require": policy.require,
            "criteria": [
                {"criterion": format_criterion(one), "level": one.level, "where": one.where} for one in policy.criteria
            ],
            "waivers": [asdict(one) for one in policy.waivers],
        },
    }


def _notes(plan: Plan, names: Sequence[str]) -> Iterator[str]:
    yield _images(plan)
    yield f"Heatmaps: {', '.join(plan.explain.methods) or 'none'}."
    if plan.corruption:
        yield f"Corrupted images: {', '.join(one.name for one in plan.corruption)}."
    yield _latency(plan)
    yield from _judged(plan.policy, names)


def _images(plan: Plan) -> str:
    part = "all images" if plan.data.limit is None else f"the first {format_count(plan.data.limit, 'image')}"
    return f"Measured on {part} of the test split of {plan.data.dataset}."


def _latency(plan: Plan) -> str:
    measure = plan.measure
    if not measure.latency_budget_s:
        return "Latency: not measured."
    seconds = format_value(measure.latency_budget_s, "s")
    threads = format_count(measure.intra_op_threads, "thread")
    return f"Latency: at most {seconds} per variant, less if the gate is decided earlier; {threads}."


def _judged(policy: Policy, names: Sequence[str]) -> Iterator[str]:
    asked = "every variant" if policy.require == "all" else "at least one variant"
    origin = f", profile {policy.profile}" if policy.profile else ""
    yield f"The gate asks of {asked}{origin}: {'; '.join(map(_asked, policy.criteria))}."
    for one in policy.waivers:
        unknown = "" if one.variant in names else f" (no variant has this name{nearest(one.variant, names)})"
        until = f"until {one.expires} by {one.approved_by}: {one.reason}"
        yield f"Waiver of {one.metric} for {one.variant}{unknown} {until}."


def _asked(criterion: Criterion) -> str:
    return format_criterion(criterion) + (" (warn)" if criterion.level == "warn" else "")


def _reused(folder: Path, stages: int) -> str:
    if not stages:
        return f"{folder} holds no finished stages."
    return f"{folder} holds {format_count(stages, 'finished stage')}: those whose inputs are unchanged are reused."


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _finished(folder: Path) -> int:
    """Return the number of stages whose results lie in a folder, whatever their inputs were."""
    return sum(map(_is_result, folder.glob("*.json"))) if folder.is_dir() else 0


def _is_result(path: Path) -> bool:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and {"key", "inputs", "result"} <= document.keys()
