"""What a network answers: the largest of its logits, or of those that stand for classes of the data."""

from __future__ import annotations

from torch import Tensor

from edgecheck.classes import Selection


def best(logits: Tensor, selection: Selection | None) -> Tensor:
    """Return the output with the largest logit of `(N, C)`, int64 `(N,)`; with a selection, the largest of those."""
    if selection is None:
        return logits.argmax(dim=1)
    outputs = logits.new_tensor(selection.outputs).long()
    return outputs[logits[:, outputs].argmax(dim=1)]
