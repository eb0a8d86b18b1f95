"""Assembles the findings of a run into a judged report. All verdicts come from `gate.judge`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from edgecheck import __version__, images
from edgecheck.days import today
from edgecheck.device.runtime import environment
from edgecheck.gate.judgement import judged
from edgecheck.hashing import digest
from edgecheck.pipeline.entry import Findings, Run
from edgecheck.pipeline.recipes import describe_recipes
from edgecheck.pipeline.revision import revision_of
from edgecheck.pipeline.store import Store
from edgecheck.pipeline.subject import Network
from edgecheck.pipeline.timing import Timed
from edgecheck.records import (
    SCHEMA_VERSION,
    Anchor,
    Environment,
    Recommendation,
    Report,
    Subject,
    Tool,
    Variant,
    to_dict,
)
from edgecheck.steps import FineTuneStep

SAMPLES = "latency.json"
ASSUMED = " (the default: no range, mean or std was given)"


def assemble(
    run: Run,
    store: Store,
    timed: Timed,
    anchors: Sequence[Anchor],
    command: Sequence[str] | None = None,
) -> Report:
    """Judge the findings and return the complete report.

    Args:
        run: the run.
        store: its folder.
        timed: the findings, on the baseline first, and the warnings about the whole run.
        anchors: where the scale of Sp2PS lies.
        command: the command line of the run; None if edgecheck was called from another program.
    """
    findings = timed.findings
    report = Report(
        schema_version=SCHEMA_VERSION,
        tool=Tool("edgecheck", __version__),
        environment=_environment(run),
        subject=_subject(run, findings),
        variants=[_with_warnings(each) for each in findings],
        readings=[reading for each in findings for reading in each.readings],
        similarities=[similarity for each in findings for similarity in each.similarities],
        policy=run.plan.policy,
        verdicts=[],
        statuses={},
        recommendation=Recommendation(None, ""),
        passed=False,
        warnings=list(timed.warnings),
        evidence=store.evidence,
        seconds=store.seconds,
        created=store.finished,
        command=list(command) if command else None,
        duration_s=sum(store.seconds.values()),
        anchors=list(anchors),
        samples=SAMPLES if SAMPLES in store.evidence else None,
    )
    return judged(report, run.plan.policy, today())


def _environment(run: Run) -> Environment:
    measure = run.plan.measure
    return attrs.evolve(environment.describe(run.runtime), pace_hz=measure.pace_hz, batch=measure.batch)


def _with_warnings(findings: Findings) -> Variant:
    """Return the variant with all of its warnings, with the name of the variant in each."""
    variant = findings.variant
    warnings = [attrs.evolve(one, variant=variant.name) for one in (*variant.warnings, *findings.warnings)]
    return attrs.evolve(variant, warnings=warnings)


def _weights(network: Network) -> str:
    """Return the hash of the weights that a network was built with."""
    if network.state is not None:
        return network.state.sha256
    return str(network.identity.get("saved") or network.identity.get("weights") or "")


def _dataset(run: Run) -> str:
    """Describe the data set, and the outputs of the network for its classes."""
    data, chosen = run.plan.data, run.data.selection
    source = f"{data.dataset}{f' ({data.root})' if data.root else ''}, test split"
    if half := run.plan.half:
        source += f", the {half.part} of two halves drawn by seed {half.seed}"
    return f"{source}; {chosen.describe()}" if chosen else source


def _finetuned(findings: Sequence[Findings]) -> bool:
    return any(isinstance(step, FineTuneStep) for each in findings for step in each.variant.steps)


def _subject(run: Run, findings: Sequence[Findings]) -> Subject:
    baseline = findings[0]
    plan, twin = run.plan, baseline.entry.twin if baseline.entry else None
    seen = baseline.heatmaps.own if baseline.heatmaps else None
    how = to_dict(plan.preprocessing)
    return Subject(
        name=plan.name,
        model=twin.description if twin else Path(str(baseline.variant.file)).name,
        weights_sha256=_weights(twin.network) if twin else baseline.variant.sha256 or "",
        dataset=_dataset(run),
        data_sha256=run.data_sha256,
        images=len(run.data),
        classes=list(run.data.classes),
        outputs=list(run.data.selection.outputs) if run.data.selection else [],
        preprocessing=images.describe(plan.preprocessing) + (ASSUMED if plan.normalization_assumed else ""),
        preprocessing_sha256=digest(how),
        target_layer=(seen.target_layer or "") if seen else "",
        class_explained=plan.explain.class_explained,
        sam=plan.explain.sam,
        seed=plan.seed,
        finetune=describe_recipes(plan) if _finetuned(findings) else "",
        explained_on=seen.device if seen else "",
        skipped_images=run.data.skipped,
        revision=revision_of(plan),
        config_sha256=plan.source_sha256,
        chance=run.data.chance,
    )
