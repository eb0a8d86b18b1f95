"""What to know about heatmaps: the sentence of each warning, with the fields that it mentions in braces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def _quantized(fields: Mapping[str, Any]) -> str:
    name = f" ({fields['map']})" if fields.get("map") else ""  # not in reports of older versions
    parts = [
        f"one quantization step of the explained feature map{name} is {fields['map_step']:.3g}"
        if fields["map_step"]
        else "",
        f"one step of the logits is {fields['logit_step']:.3g}" if fields["logit_step"] else "",
    ]
    below = (
        f". {100 * fields['below']:.0f} % of the channels change the explained logit by less than one step of the "
        "logits, so the layers behind the map were run in float to explain the file"
        if fields["below"] is not None
        else ""
    )
    return " and ".join(filter(None, parts)) + below


SENTENCES: dict[str, str | Callable[[Mapping[str, Any]], str]] = {
    "heatmaps-quantized": _quantized,
    "heatmaps-batch-dependent": (
        "the answer of {network} for an image depends on the other images in its batch (BatchNorm without running "
        "statistics?), so images are explained one at a time"
    ),
    "heatmaps-not-finite": "{maps} {method} maps are not finite, so nothing is compared by this method",
    "heatmaps-one-pixel": (
        "the maps of {layer!r} are 1x1 and highlight nothing: name an earlier layer (explain.target_layer)"
    ),
    "heatmaps-slow-ablation": (
        "ablation-cam is slow: the layers behind the target treat the images of a batch together"
    ),
    "heatmaps-uncut": (
        "heatmaps are slow: {network} cannot be cut at {layer!r} ({reason}), so the whole network runs for every "
        "ablated channel"
    ),
}
