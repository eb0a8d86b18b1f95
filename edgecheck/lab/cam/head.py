"""What the operators behind the target layer do with its channels, according to their graph.

From the feature map to the logits, operators first work on each channel by itself (pooling, ReLU, BatchNorm,
flattening). Then one mixes the channels (a linear layer, a convolution), and the rest follows. Where this structure is
visible, ablating a channel does not take a run through the whole tail.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Any

from attrs import field, frozen
from torch import Tensor, fx, nn

from edgecheck.lab.cam.cut import Split, cut
from edgecheck.lab.cam.operators import AFFINE, CURVED, MIXES, does, tensors_of
from edgecheck.lab.cam.sliced import Sliced, sliced, takes
from edgecheck.lab.cam.trace import SHAPE, module_of

Values = tuple[Any, ...]
Piece = nn.Linear | Callable[[Tensor], Tensor]
"""Part of a chain: a linear layer, or a function of the value before it."""


@frozen(eq=False)
class Mixing:
    """The layer that takes z, if its weights can be divided by channel.

    Attributes:
        layer: the layer.
        after: computes the logits from its output.
        sliced: the same, for one class of each image; None where that is not seen.
        pieces: the same as a chain of linear layers and what is between them; empty where values are not `(N, F)`.
    """

    layer: nn.Linear | nn.Conv2d
    after: Callable[[Tensor], Tensor]
    sliced: Sliced | None = None
    pieces: list[Piece] = field(factory=list)


@frozen(eq=False)
class Head:
    """The tail in two stages, which both take and pass on the values that bypass the target layer.

    Attributes:
        prefix: from the feature map to z, channel by channel.
        rest: from z to the logits.
        affine: whether the logits are an affine function of z.
        affine_in_map: whether they are one of the feature map itself.
        sliced: from z to one class of each image; None where that is not seen.
        mixing: the layer that takes z, see `Mixing`.
    """

    prefix: Callable[..., tuple[Tensor, Values]]
    rest: Callable[..., Tensor]
    affine: bool = False
    affine_in_map: bool = False
    sliced: Sliced | None = None
    mixing: Mixing | None = None


def read_head(model: nn.Module, parts: Split) -> Head:
    """Return the stages of a tail according to its graph; a tail without a graph is all `rest`."""
    if parts.graph is None:
        return Head(lambda feature, *others: (feature, others), parts.tail)
    graph = parts.graph.graph
    chain = _chain(graph)
    by_channel = list(takewhile(lambda step: does(step, model, AFFINE | CURVED), chain[1:]))
    rest = chain[1 + len(by_channel) :]
    staged = cut(model, graph, chain[len(by_channel)])
    affine = _ends(chain) and all(does(step, model, AFFINE | MIXES) for step in rest)
    in_map = affine and all(does(step, model, AFFINE) for step in by_channel)
    mixing = _mixing(model, graph, rest) if rest else None
    return Head(staged.body, staged.tail, affine, in_map, sliced(model, staged.graph), mixing)


def _chain(graph: fx.Graph) -> list[fx.Node]:
    """Return the steps from the feature map on, as long as each depends on the one before it alone."""
    chain = [next(iter(graph.nodes))]
    while True:
        users = [user for user in chain[-1].users if SHAPE in user.meta or user.op == "output"]
        if len(users) != 1 or users[0].op == "output" or tensors_of(users[0]) != chain[-1:]:
            return chain
        chain.append(users[0])


def _ends(chain: list[fx.Node]) -> bool:
    """Return whether a chain goes on to the logits."""
    return any(user.op == "output" for user in chain[-1].users)


def _mixing(model: nn.Module, graph: fx.Graph, rest: list[fx.Node]) -> Mixing | None:
    layer = module_of(rest[0], model)
    # Subclasses may do something else with their weights (a mask, a norm).
    if type(layer) is not nn.Linear and not (type(layer) is nn.Conv2d and _splits_by_channel(layer)):
        return None
    after = cut(model, graph, rest[0])
    if after.graph is None or takes(after.graph) != 1:
        return None
    pieces = _pieces(model, after.graph) if type(layer) is nn.Linear else []
    return Mixing(layer, after.tail, sliced(model, after.graph), pieces)


def _splits_by_channel(layer: nn.Conv2d) -> bool:
    return layer.groups == 1 and layer.padding_mode == "zeros"


def _pieces(model: nn.Module, rest: fx.GraphModule) -> list[Piece]:
    """Return a graph as a chain of linear layers and the functions between them; empty where it is none."""
    pieces: list[Piece] = []
    while True:
        chain = _chain(rest.graph)
        if not _ends(chain) or any(len(step.meta[SHAPE]) != 2 for step in chain):
            return []
        place = next((n for n, step in enumerate(chain) if type(module_of(step, model)) is nn.Linear), None)
        if place is None:
            return [*pieces, rest.forward]
        before, behind = (cut(model, rest.graph, chain[step]) for step in (place - 1, place))
        if behind.graph is None or takes(before.graph) != 1 or takes(behind.graph) != 1:
            return []
        layer = module_of(chain[place], model)
        assert isinstance(layer, nn.Linear)
        pieces += [_first_of(before.body), layer]
        rest = behind.graph


def _first_of(body: Callable[..., tuple[Tensor, Values]]) -> Callable[[Tensor], Tensor]:
    return lambda value: body(value)[0]
