"""What a bundle holds: `bundle.json`, its first member."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from edgecheck.attribution.table import METHODS
from edgecheck.config.plan import Explain, Measure, Preprocessing
from edgecheck.errors import ConfigError, InputError
from edgecheck.hashing import digest
from edgecheck.records import SCHEMA_VERSION, Policy, Tool, Variant, from_dict, to_dict
from edgecheck.records.checks import not_negative, unique
from edgecheck.registry import lookup
from edgecheck.structuring import described
from edgecheck.text import visible

MANIFEST = "bundle.json"
DATA = "data.npz"
LOGITS, GOLDEN = "logits.npz", "golden.npz"
MOST_MANIFEST_BYTES = 64 << 20  # a thousand variants take about 1 MB
CHECKSUM = re.compile("[0-9a-f]{64}")
MOST_NAME_BYTES = 255  # of a folder, on most file systems
MOST_SAMPLING_S = 86_400.0  # a day: whoever starts a measurement waits for its end


@frozen
class Manifest:
    """The content of a bundle.

    Attributes:
        version: the schema version of reports, whose records it holds.
        tool: the edgecheck that packed it.
        name: of the subject.
        variants: the baseline first; `file` is the path in the bundle, `sha256` covers external data.
        images: indices of the packed images in the test split of the run.
        golden: indices among the packed images of those that the self-test runs.
        data_sha256: fingerprint of all test images of the run.
        packed_sha256: fingerprint of the packed images.
        preprocessing: of all files; the packed images already have their size.
        preprocessing_sha256: as in the report of the run.
        explain: settings of the heatmaps.
        measure: settings of the measurements.
        policy: the gate of the run, without metrics of plugins; only the criteria of a device decide how long latency
            is sampled there.
        policy_sha256: its digest.
        seed: for the order in which files are timed.
        answers: without real images, the SHA-256 of the classes that each variant predicts for the synthetic ones; else
            empty.
        files: SHA-256 of every other member, by path.
    """

    version: int
    tool: Tool
    name: str
    variants: list[Variant] = field(validator=unique(lambda variant: variant.name))
    images: list[int]
    golden: list[int]
    data_sha256: str
    packed_sha256: str
    preprocessing: Preprocessing
    preprocessing_sha256: str
    explain: Explain
    measure: Measure
    policy: Policy
    policy_sha256: str
    seed: int = field(validator=not_negative)
    files: dict[str, str]
    answers: dict[str, str] = field(factory=dict)

    @property
    def synthetic(self) -> bool:
        """Whether the images are noise, in the place of images that must not travel."""
        return bool(self.answers)

    def folder(self, variant: str) -> str:
        """Return the folder of a variant in the bundle."""
        return folder_of([each.name for each in self.variants].index(variant))


def folder_of(place: int) -> str:
    """Return the folder of the variant at a place: a number, since names may hold what no file name may."""
    return f"variants/{place:03}"


def policy_digest(policy: Policy) -> str:
    """Return the digest of a policy, without the places that its criteria and waivers were written at."""
    criteria = [{**to_dict(one), "where": "", "text": ""} for one in policy.criteria]
    waivers = [{**to_dict(one), "where": ""} for one in policy.waivers]
    return digest({**to_dict(policy), "criteria": criteria, "waivers": waivers})


def answers_digest(logits: NDArray[np.floating]) -> str:
    """Return the digest of the classes that outputs `(N, classes)` predict."""
    return digest({"classes": logits.argmax(axis=1).tolist()})


def to_text(manifest: Manifest) -> str:
    """Return the JSON of a manifest: equal manifests give equal text."""
    return json.dumps(to_dict(manifest), indent=1, sort_keys=True, allow_nan=False) + "\n"


def from_text(text: str, where: Path) -> Manifest:
    """Return the manifest that `to_text` wrote.

    Raises:
        InputError: another schema version, or not the form of a manifest.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: {MANIFEST} is not JSON ({error}); pack it again") from None
    require_version(data, where, "bundle")
    try:
        manifest = from_dict(data, Manifest)
        _check(manifest)
    except (ConfigError, InputError, ValueError) as error:
        raise InputError(f"{where}: {MANIFEST}: {error}; pack it again") from None
    return manifest


def require_version(data: Any, where: Path, kind: str) -> None:
    """Refuse a document that another version of edgecheck wrote.

    Raises:
        InputError: as said, or it is no mapping with a version.
    """
    version = data.get("version") if isinstance(data, Mapping) else None
    if type(version) is not int:
        raise InputError(f"{where}: not a {kind} of edgecheck")
    if version != SCHEMA_VERSION:
        age = "a newer" if version > SCHEMA_VERSION else "an older"
        raise InputError(
            f"{where}: a {kind} of schema version {described(version)}, from {age} edgecheck; this one reads version "
            f"{SCHEMA_VERSION}: use the same edgecheck on both machines"
        )


def _check(manifest: Manifest) -> None:
    """Refuse a manifest whose parts do not fit together.

    Raises:
        ValueError: as said.
        ConfigError: a method of the heatmaps is unknown here.
    """
    roles = [variant.role for variant in manifest.variants]
    if roles[:1] != ["baseline"] or roles.count("baseline") != 1:
        raise ValueError("variants must begin with the baseline, and hold only one")
    unsafe = [variant.name for variant in manifest.variants if not _names_a_folder(variant.name)]
    if unsafe:
        raise ValueError(f"variants holds '{visible(unsafe[0])}', which no folder can be called")
    absent = [name for name in _needed(manifest) if name not in manifest.files]
    if absent:
        raise ValueError(f"files lacks {absent[0]!r}")
    if not all(is_checksum(variant.sha256) for variant in manifest.variants):
        raise ValueError("variants must have the SHA-256 of each file")
    if manifest.answers and set(manifest.answers) != {variant.name for variant in manifest.variants}:
        raise ValueError("answers must name each variant")
    _check_places(manifest)
    if endless := why_endless(manifest.measure, len(manifest.variants)):
        raise ValueError(endless)
    for method in manifest.explain.methods:
        lookup(METHODS, method, "CAM method")
    if len(set(manifest.explain.methods)) < len(manifest.explain.methods):
        raise ValueError("explain.methods names a method twice")


def why_endless(measure: Measure, files: int) -> str:
    """Return why latency would take longer to sample than a device may be asked for; "" if it would not."""
    # Imported here: `merge` reads results, and times nothing.
    from edgecheck.device.latency.sampler import OVERRUN, OVERRUN_SECONDS
    from edgecheck.device.latency.timings import LEAST_SAMPLES

    budget_s, pace_hz = measure.latency_budget_s, measure.pace_hz
    if budget_s * files > MOST_SAMPLING_S:
        return f"latency of {files} files, {budget_s:g} s each, takes longer than a day; give less"
    least_s, most_s = LEAST_SAMPLES / pace_hz if pace_hz else 0.0, OVERRUN * budget_s + OVERRUN_SECONDS
    if budget_s and least_s > most_s:
        return (
            f"measure.pace_hz: {LEAST_SAMPLES} runs, {pace_hz:g} per second, take {least_s:,.0f} s for each file, and "
            f"a budget of {budget_s:g} s ends after {most_s:,.0f} s; give more"
        )
    return ""


def are_rising(places: Sequence[int]) -> bool:
    """Return whether these can be places of images as `images.draw` returns them: none negative, and none twice."""
    return all(place >= 0 for place in places[:1]) and all(a < b for a, b in pairwise(places))


def is_checksum(text: str | None) -> bool:
    """Return whether a text is a SHA-256 in hexadecimal digits."""
    return CHECKSUM.fullmatch(text or "") is not None


def _check_places(manifest: Manifest) -> None:
    """Refuse places that are no subset of the images, as `images.draw` returns them."""
    for name, places in (("images", manifest.images), ("golden", manifest.golden)):
        if not are_rising(places):
            raise ValueError(f"{name} must hold rising places")
    if manifest.golden and manifest.golden[-1] >= len(manifest.images):
        raise ValueError("golden names images that are not packed")


def _needed(manifest: Manifest) -> list[str]:
    """Return the members that a device reads: of each variant, the file and what it answered on the host."""
    models = [variant.file or "" for variant in manifest.variants]
    beside = [] if manifest.synthetic else [LOGITS, GOLDEN]
    folders = [PurePosixPath(model).parent for model in models]
    return [DATA, *models, *((folder / name).as_posix() for folder in folders for name in beside)]


def _names_a_folder(name: str) -> bool:
    """Return whether a device can keep the stages of a variant in a folder of its name, inside another folder."""
    plain = name.isprintable() and not any(sign in name for sign in "/\\")
    return plain and name.strip() not in ("", ".", "..") and len(name.encode()) <= MOST_NAME_BYTES
