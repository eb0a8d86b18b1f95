"""The stages about heatmaps: the twin's maps, how alike they are to the baseline's, and pictures of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from edgecheck import store as storage
from edgecheck import versions
from edgecheck.config.plan import CamEngine
from edgecheck.pipeline.entry import Entry, Findings, Run
from edgecheck.pipeline.making import need_lab
from edgecheck.progress import Named
from edgecheck.records import Similarity, from_dict, to_dict
from edgecheck.score import cam, compare
from edgecheck.score.compare import CamFile

if TYPE_CHECKING:
    from edgecheck.lab.cam import Explanation

CAMS = "cams.npz"


@frozen(eq=False)
class Explained:
    """The twin's logits and maps; `cams` is None where there is no twin."""

    cams: CamFile | None = None
    target_layer: str = ""
    device: str = ""
    warnings: list[str] = field(factory=list)


def explain(job: Run, entry: Entry, baseline: Findings | None) -> Explained:
    """Return the logits of the twin and, if methods are asked for, its maps of every test image."""
    if entry.twin is None:
        return Explained()
    twin, options = entry.twin, job.plan.explain
    classes = _classes(job, baseline)
    layer = options.target_layer or (baseline.target_layer if baseline else None)
    path = _cams_file(job, entry)
    inputs = {
        "twin": twin.identity,
        "data": job.data_sha256,
        "preprocessing": to_dict(job.plan.preprocessing),
        "methods": options.methods,
        "engine": options.engine,
        "device": job.plan.compute.device,
        "target_layer": layer,
        "classes": None if classes is None else storage.digest({"classes": classes.tolist()}),
    }

    def compute() -> dict[str, Any]:
        explain_twin = cam_engine(options.engine)
        from edgecheck.lab.compute import describe, device_of, placed

        with placed(twin.build(), job.plan.compute) as model:
            told, how = Named(job.progress, entry.name), job.plan.preprocessing
            found = explain_twin(model, job.data, how, options.methods, layer, classes, told)
            device = describe(device_of(model))
        with storage.atomic(path) as temporary:
            compare.save_cams(temporary, CamFile(found.maps, found.logits, found.classes))
        return {"target_layer": found.target_layer, "device": device, "warnings": found.warnings}

    result = job.store.stage(twin.folder, "explain", inputs, compute, files=[CAMS], tools=versions.TWINS)
    return Explained(compare.load_cams(path), result["target_layer"], result["device"], result["warnings"])


def _cams_file(job: Run, entry: Entry) -> Path:
    assert entry.twin is not None, f"{entry.name} has no twin"
    return job.store.path(entry.twin.folder, CAMS)


def cam_engine(name: CamEngine) -> Callable[..., Explanation]:
    """Return the `explain` that `explain.engine` names: ours, or the one that has the `grad-cam` package do it."""
    need_lab()
    if name == "grad-cam":
        from edgecheck.lab.cam import reference

        return reference.explain
    from edgecheck.lab.cam import engine

    return engine.explain


def similarities(job: Run, entry: Entry, explained: Explained, baseline: Findings | None) -> list[Similarity]:
    """Compare a variant's maps with the baseline's, one record a method; none where either side has no maps."""
    if explained.cams is None or baseline is None or baseline.cams is None:
        return []
    sides = baseline.cams, explained.cams
    inputs = {
        "cams": [storage.sha256(_cams_file(job, side)) for side in (baseline.entry, entry)],
        "labels": job.data_sha256,
        "sam": job.plan.explain.sam,
        "seed": job.plan.seed,
    }

    def compute() -> list[dict[str, Any]]:
        _, height, width = job.data.shape
        return [
            to_dict(
                compare.compare(
                    entry.name,
                    method,
                    sides[0].cams(method),
                    sides[1].cams(method),
                    job.data.labels,
                    (height, width),
                    job.plan.explain.sam,
                    job.data.classes,
                    job.plan.seed,
                )
            )
            for method in job.plan.explain.methods
        ]

    found = job.store.stage(entry.name, "similarity", inputs, compute, tools=versions.ARRAYS)
    # A stage taken from another run folder may have had another name there.
    return [attrs.evolve(from_dict(s, Similarity), variant=entry.name) for s in found]


def pictures(
    job: Run, entry: Entry, found: list[Similarity], explained: Explained, baseline: Findings | None
) -> list[str]:
    """Draw image, baseline heatmap and variant heatmap side by side where they differ most; return the files."""
    if not found or baseline is None or baseline.cams is None or explained.cams is None:
        return []
    chosen = [(s.method, image.index) for s in found for image in s.worst[: job.plan.explain.pictures]]
    files = [picture_name(method, index) for method, index in chosen]
    inputs = {
        "cams": [storage.sha256(_cams_file(job, side)) for side in (baseline.entry, entry)],
        "chosen": chosen,
    }
    sides = baseline.cams, explained.cams

    def compute() -> None:
        from edgecheck.lab import pictures as drawing

        _, height, width = job.data.shape
        for (method, index), file in zip(chosen, files, strict=True):
            maps = [cam.heatmaps(side.maps[method][index : index + 1], (height, width))[0] for side in sides]
            storage.write_bytes(job.store.path(entry.name, file), drawing.strip(job.data.images[index], *maps))

    job.store.stage(entry.name, "pictures", inputs, compute, files=files, tools=versions.IMAGES)
    # Not part of the stage's result: taken from another run folder, the variant may have had another name there.
    return [f"{entry.name}/{file}" for file in files]


def picture_name(method: str, index: int) -> str:
    """Return the file name of the strip of one image under one method."""
    return f"{method}-{index:05d}.png"


def _classes(job: Run, baseline: Findings | None) -> NDArray[np.int64] | None:
    """The class to explain per image; None leaves it to each model's own arg-max."""
    rule = job.plan.explain.class_explained
    if rule == "label":
        return job.data.labels
    if rule == "baseline" and baseline is not None and baseline.cams is not None:
        return baseline.cams.logits.argmax(axis=1)
    return None
