"""Draws the README's picture from a finished demo: `python -m tests.readme_picture demo-report`.

Rows are the baseline, a variant that passes and one that fails at the baseline's accuracy. Columns are the digits whose
heatmaps moved most in the failing variant, one per class, among those that all three classify correctly.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from edgecheck.images import load_npz
from edgecheck.score.cam import heatmaps
from edgecheck.score.cam_file import Cams, load_cams
from edgecheck.score.compare import Scoring, compare_images

METHOD = "grad-cam"
ROWS = ("baseline", "baseline-int8", "l1-filters-0.60")
TITLES = ("baseline", "int8", "L1, filters, 60 %")
COLUMNS = 7
FOLDER = Path(__file__).parent.parent / "models"
# Text, PASS and FAIL on GitHub's light and dark background.
THEMES = {"light": ("#1f2328", "#1a7f37", "#cf222e"), "dark": ("#e6edf3", "#3fb950", "#f85149")}


def chosen(run: Path, labels: np.ndarray, size: tuple[int, int]) -> list[int]:
    """Return the images to show, in the order of their classes."""
    sides: list[Cams] = [load_cams(maps_file(run, name)).cams(METHOD) for name in ROWS]
    right = np.all([side.predictions == labels for side in sides], axis=0)
    scores = compare_images(ROWS[-1], METHOD, sides[0], sides[-1], labels, Scoring(size)).sp2ps
    ranking = [int(image) for image in np.argsort(scores) if right[image]]
    first_of_class = {int(labels[image]): image for image in reversed(ranking)}
    return sorted(sorted(first_of_class.values(), key=ranking.index)[:COLUMNS], key=lambda image: labels[image])


def maps_file(run: Path, name: str) -> Path:
    """Return the file with the heatmaps of a variant: of its twin, or of a quantized file itself."""
    twin = run / name / "cams.npz"
    return twin if twin.exists() else run / name / "artefact-cams.npz"


def caption(report: dict[str, Any], name: str) -> str:
    """Return accuracy and, of a variant, its Sp2PS."""
    values = {reading["metric"]: reading["value"] for reading in report["readings"] if reading["variant"] == name}
    accuracy, score = f"accuracy {100 * values['accuracy']:.1f} %", values.get(f"sp2ps.{METHOD}")
    return accuracy if score is None else f"{accuracy}\nSp2PS {score:.3f}"


def status_of(report: dict[str, Any], name: str) -> str:
    """Return PASS or FAIL, nothing for the baseline."""
    statuses = {verdict["status"] for verdict in report["verdicts"] if verdict["variant"] == name}
    return ("PASS" if statuses == {"PASS"} else "FAIL") if statuses else ""


def draw(run: Path, theme: str) -> Figure:
    """Return the picture for a theme, on a transparent ground."""
    data, report = load_npz(run / "data.npz"), json.loads((run / "report.json").read_text())
    ink, green, red = THEMES[theme]
    _, height, width = data.shape
    images = chosen(run, data.labels, (height, width))
    figure, axes = plt.subplots(1 + len(ROWS), COLUMNS, figsize=(8.4, 4.4), dpi=100)
    figure.subplots_adjust(left=0.21, right=1, top=1, bottom=0, wspace=0.06, hspace=0.06)
    figure.text(0, 1 - 0.5 / len(axes), "test image", color=ink, fontsize=11, weight="bold", va="center")
    for axis, image in zip(axes[0], images, strict=True):
        axis.imshow(data.images[image][..., 0], cmap="gray", interpolation="nearest")
        axis.set_axis_off()
    for row, (name, title) in enumerate(zip(ROWS, TITLES, strict=True), start=1):
        maps = heatmaps(load_cams(maps_file(run, name)).maps[METHOD][images], (height, width))
        for axis, image, heat in zip(axes[row], images, maps, strict=True):
            axis.imshow(data.images[image][..., 0], cmap="gray", interpolation="nearest")
            axis.imshow(heat, cmap="jet", alpha=0.5, vmin=0, vmax=1, interpolation="bilinear")
            axis.set_axis_off()
        middle, status = 1 - (row + 0.5) / len(axes), status_of(report, name)
        figure.text(0, middle + 0.035, title, color=ink, fontsize=11, weight="bold", va="bottom")
        figure.text(0, middle + 0.02, caption(report, name), color=ink, fontsize=10, va="top", linespacing=1.4)
        figure.text(0.19, middle - 0.055, status, color=green if status == "PASS" else red, ha="right", weight="bold")
    return figure


def main(run: Path) -> None:
    """Write both pictures."""
    for theme in THEMES:
        picture = io.BytesIO()
        draw(run, theme).savefig(picture, transparent=True)
        # 256 colours are enough here, and take a third of the bytes.
        Image.open(picture).quantize(256).save(FOLDER / f"heatmaps-{theme}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
