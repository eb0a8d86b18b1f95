"""One logit of each image instead of all of them.

Only the explained class's logit is needed. Where the last layer with weights gives one output for each class, and what
follows works on each class by itself, the rows of its weights for the explained classes are enough.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from torch import Tensor, fx, nn

from edgecheck.lab.cam.cut import cut
from edgecheck.lab.cam.operators import AFFINE, CURVED, does, tensors_of
from edgecheck.lab.cam.trace import module_of


@frozen(eq=False)
class Sliced:
    """The way from a value to the logits, divided before the layer that makes the classes.

    Attributes:
        before: from the value, and the values that bypass it, to u, the input of `layer`.
        layer: gives one output, or one map, for each class.
        after: from the layer's output to the logits, each class by itself.
    """

    before: Callable[..., Tensor]
    layer: nn.Linear | nn.Conv2d
    after: Callable[[Tensor], Tensor]

    def logits(self, u: Tensor) -> Tensor:
        """Return all logits `(M, classes)` of u `(M, F)` or `(M, F, h, w)`."""
        return self.after(self.layer(u))

    def explained(self, u: Tensor, classes: Tensor) -> Tensor:
        """Return the logits `(N, C)` of the class of each image `(N,)`, for u `(N * C, F)` or `(N * C, F, h, w)`."""
        return self.finished(self.outputs(u, classes))

    def outputs(self, u: Tensor, classes: Tensor) -> Tensor:
        """Return the layer's outputs for the class of each image, `(N, C, 1)` or `(N, C, 1, h, w)`."""
        values = u.unflatten(0, (len(classes), -1))
        weight = self.rows(classes)
        if u.ndim == 2:
            outputs = values @ weight[..., None]
        else:
            outputs = (weight[:, None, None] @ values.flatten(3)).unflatten(3, u.shape[2:])
        if self.layer.bias is not None:
            outputs = outputs + self.layer.bias[classes].reshape(-1, *[1] * (outputs.ndim - 1))
        return outputs

    def rows(self, classes: Tensor) -> Tensor:
        """Return the weights of the classes, `(N, F)`."""
        return self.layer.weight[classes].flatten(1)

    def finished(self, outputs: Tensor) -> Tensor:
        """Return the logits `(N, C)` of the layer's outputs for one class, `(N, C, 1)` or `(N, C, 1, h, w)`."""
        logits = self.after(outputs.flatten(0, 1))
        if logits.shape[1:] != (1,):
            raise RuntimeError(f"{tuple(logits.shape)} for one class: what follows the layer mixes classes")
        return logits.reshape(outputs.shape[:2])


def sliced(model: nn.Module, graph: fx.GraphModule | None) -> Sliced | None:
    """Divide what a graph computes from its first input; None where no such layer is seen at its end."""
    if graph is None:
        return None
    step = graph.graph.output_node()
    while len(tensors_of(step)) == 1:
        (step,) = tensors_of(step)
        if not does(step, model, AFFINE | CURVED):
            break
    layer = module_of(step, model)
    if not isinstance(layer, nn.Linear | nn.Conv2d) or not _one_output_a_class(layer):
        return None
    (u,) = tensors_of(step)
    before, after = cut(model, graph.graph, u), cut(model, graph.graph, step)
    if takes(before.graph) != 1 or takes(after.graph) != 1:
        return None
    return Sliced(lambda *values: before.body(*values)[0], layer, after.tail)


def takes(graph: fx.GraphModule | None) -> int:
    """Return how many values a graph takes; 0 without a graph."""
    return len(graph.graph.find_nodes(op="placeholder")) if graph is not None else 0


def _one_output_a_class(layer: nn.Linear | nn.Conv2d) -> bool:
    # Subclasses may do something else with their weights (a mask, a norm).
    if type(layer) is nn.Conv2d:
        plain = layer.kernel_size == layer.stride == (1, 1) and layer.padding in ((0, 0), "valid", "same")
        return plain and layer.groups == 1
    return type(layer) is nn.Linear
