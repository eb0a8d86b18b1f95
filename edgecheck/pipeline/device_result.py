"""What comes back from a device, made of its findings on the files of a bundle."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from edgecheck import __version__
from edgecheck.device.bundle.result import Result
from edgecheck.device.bundle.unpack import Bundle
from edgecheck.device.runtime import environment
from edgecheck.pipeline.entry import Findings, Run
from edgecheck.pipeline.store import Store
from edgecheck.records import SCHEMA_VERSION, Anchor, DeviceRun, Diagnostic, Reading, Tool

OF_THE_HOST = ("heatmaps-across-architectures",)


def result(
    bundle: Bundle,
    device: str,
    run: Run,
    findings: Sequence[Findings],
    warnings: Sequence[Diagnostic],
    how: DeviceRun,
    anchors: Sequence[Anchor],
) -> Result:
    """Return the readings and warnings of a device, with what they can be compared with.

    Args:
        bundle: that was measured.
        device: its name.
        run: on the device.
        findings: on each file.
        warnings: about the whole measurement.
        how: it was measured.
        anchors: the chance level of its heatmaps.
    """
    manifest, measure = bundle.manifest, run.plan.measure
    return Result(
        version=SCHEMA_VERSION,
        tool=Tool("edgecheck", __version__),
        name=device,
        variants={variant.name: variant.sha256 or "" for variant in manifest.variants},
        data_sha256=manifest.data_sha256,
        packed_sha256=manifest.packed_sha256,
        images=manifest.images,
        preprocessing_sha256=manifest.preprocessing_sha256,
        policy_sha256=manifest.policy_sha256,
        environment=attrs.evolve(environment.describe(run.runtime), pace_hz=measure.pace_hz, batch=measure.batch),
        run=how,
        readings=[_reading(bundle, device, r) for each in findings for r in each.readings],
        warnings=[*warnings, *(_warning(bundle, each.name, one) for each in findings for one in _told(each.warnings))],
        anchors=[attrs.evolve(one, device=device) for one in anchors],
    )


def _reading(bundle: Bundle, device: str, one: Reading) -> Reading:
    return attrs.evolve(one, device=device, note=_named(bundle, one.note))


def _told(warnings: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Return the warnings without those that the host has given, with its own figures."""
    return [one for one in warnings if one.id not in OF_THE_HOST]


def _warning(bundle: Bundle, variant: str, one: Diagnostic) -> Diagnostic:
    fields = {name: _named(bundle, value) if isinstance(value, str) else value for name, value in one.fields.items()}
    return attrs.evolve(one, variant=variant, fields=fields)


def _named(bundle: Bundle, text: str) -> str:
    """Name files as in the bundle: the folder that it was unpacked to is removed at the end."""
    return text.replace(f"{bundle.folder}/", "")


def described(bundle: Bundle, run: Run, store: Store, command: Sequence[str] | None) -> DeviceRun:
    """Return how a device measured a bundle, without what its sensors told."""
    return DeviceRun(
        bundle_sha256=bundle.sha256,
        images=None if bundle.manifest.synthetic else len(run.data),
        chance=None if bundle.manifest.synthetic else run.data.chance,
        created=store.finished,
        duration_s=sum(store.seconds.values()),
        command=list(command) if command else None,
    )
