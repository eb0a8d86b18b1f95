"""What to know about heatmaps: the sentence of each warning, with the fields that it mentions in braces."""

SENTENCES: dict[str, str] = {
    "heatmaps-batch-dependent": (
        "the answer of {network} for an image depends on the other images in its batch (BatchNorm without running "
        "statistics?), so images are explained one at a time"
    ),
    "heatmaps-not-finite": "{maps} {method} maps are not finite and count as all zero",
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
