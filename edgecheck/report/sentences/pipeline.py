"""About how a run was carried out: its data, its twins, and variants that were not made as asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgecheck.report.format import format_value
from edgecheck.report.placeholders import fill


def _preprocessing_doubtful(fields: Mapping[str, Any]) -> str:
    order = " and channels in BGR order" if fields["bgr"] else ""
    return fill(
        "right on {accuracy:fraction} of the images, but on {better_accuracy:percent} of {images:#sampled image} with "
        f"preprocessing: {{preprocessing}}{order}. Set the preprocessing that the network was trained with",
        fields,
    )


def _across_architectures(fields: Mapping[str, Any]) -> str:
    chances = fields.get("chances", {})  # not in reports of older versions
    levels = ", ".join(f"{method} {format_value(chance, 'score')}" for method, chance in chances.items())
    return (
        "its layers are not those of the baseline with channels removed: Sp2PS measures closeness to the baseline's "
        f"weights, and a good network of another architecture can score below chance{f' ({levels})' if levels else ''}"
    )


SENTENCES = {
    "outputs-unmatched": (
        "the network has {outputs:#output}, the data {classes:,} classes: output i is taken as class i. If that is "
        "wrong, set {setting:data.classes}"
    ),
    "preprocessing-doubtful": _preprocessing_doubtful,
    "heatmaps-across-architectures": _across_architectures,
    "twin-source-changed": "{source} has changed since {saved} was written: check parity before you trust this twin",
    "variant-repeated": "{repeated} is identical to this variant, so it was not made again",
    "variant-failed": "failed: {reason}",
    "images-left-out": "this page shows no test images and no heatmaps (--no-images)",
    "device-answers-differ": (
        "on at least one of {images:#synthetic image} it predicts another class than on the host: close calls may flip "
        "with rounding; to measure how often it happens, pack real images"
    ),
}
