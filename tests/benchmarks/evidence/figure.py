"""The figure: AUC by reading and kind of harm, pooled within subjects, on equal splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from tests.benchmarks.evidence.analysis import ALL_KINDS
from tests.benchmarks.evidence.table import pooled, ranked
from tests.benchmarks.evidence.variants import HARMFUL

LIGHT, DARK = 0.25, 0.75  # beyond these AUC the text is white


def draw(results: dict[str, Any], path: Path) -> None:
    """Write the figure in the format of the suffix: readings by their AUC in all, columns are kinds."""
    matplotlib.use("Agg")
    # Equal results give equal files; text stays text.
    matplotlib.rcParams.update({"svg.hashsalt": "edgecheck", "svg.fonttype": "none"})
    from matplotlib import pyplot

    found = pooled(results)
    metrics, columns = (
        ranked(found),
        (("benign", ALL_KINDS), *(("benign", kind) for kind in HARMFUL), ("far", ALL_KINDS)),
    )
    names = (ALL_KINDS, *HARMFUL, "all, against far")
    values = np.array([[found[metric, *column]["auc"] for column in columns] for metric in metrics])
    figure, axes = pyplot.subplots(figsize=(7, 0.8 + 0.22 * len(metrics)), layout="constrained")
    image = axes.imshow(values, cmap="RdBu", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(names)), names, fontsize=8, rotation=30, ha="left")
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(metrics)), metrics, fontsize=8)
    for (row, column), value in np.ndenumerate(values):
        colour = "black" if LIGHT < value < DARK else "white"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=colour)
    figure.colorbar(image, label="AUC, harmful against harmless on the same split")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)
