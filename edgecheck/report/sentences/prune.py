"""About what pruning left as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def _kept_filters(reason: str) -> str:
    return f"the filters of {{layers:list}} are not pruned: {reason}"


def _rate_empties_layers(fields: Mapping[str, Any]) -> str:
    layers = ", ".join(f"{one['layer']} ({one['kept']} of {one['width']})" for one in fields["layers"])
    return f"the rate would remove all channels of some layers, so these keep a few: {layers}"


SENTENCES: dict[str, str | Callable[[Mapping[str, Any]], str]] = {
    "filters-not-ranked": _kept_filters("criterion {criterion} cannot rank them"),
    "filters-behind-operator": _kept_filters("torch-pruning cannot follow channels through {operators:list}"),
    "filters-not-traced": _kept_filters("torch-pruning cannot follow their channels: {error}"),
    "filters-share-parameter": _kept_filters(
        "a parameter of shape ({shape:list}) depends on their channels and belongs to no prunable layer"
    ),
    "filters-behind-padding": _kept_filters(
        "a padding of channels follows, and torch-pruning does not know its offset"
    ),
    "filters-behind-module": _kept_filters("{module} ({type}) mixes channels or is not supported"),
    "filters-behind-missing-channel": _kept_filters(
        "torch-pruning would remove a channel of {module} that does not exist"
    ),
    "filters-behind-grouped-convolution": _kept_filters("{module} is a convolution in {groups} groups"),
    "filters-not-paired": _kept_filters("they do not pair one to one with the filters of {module}"),
    "filters-break-forward": _kept_filters("without them the model cannot run: {error}"),
    "filters-change-output-shape": _kept_filters("without them the output has shape ({shape:list})"),
    "filters-change-logits": _kept_filters(
        "removing them changes the logits by {difference:.2g} more than zeroing the weights that read them"
    ),
    "rate-empties-layers": _rate_empties_layers,
    "last-channel-kept": "{layer} keeps its last channel, although it scores among the lowest",
    "layers-not-divisible": (
        "the weights of {layers:list} are not pruned: their number of input channels is not a multiple of {multiple}"
    ),
    "maps-too-small-to-rank": (
        "criterion hrank: the feature maps of {layers:list} are smaller than {side} x {side} pixels, so their ranks "
        "hardly distinguish filters"
    ),
}
