"""The predicted class: the output with the largest logit, among all or among those that stand for classes."""

from __future__ import annotations

from torch import Tensor

from edgecheck.classes import Selection


def best(logits: Tensor, selection: Selection | None) -> Tensor:
    """Return the output with the largest logit, int64 `(N,)`, of logits `(N, C)`, among those selected."""
    if selection is None:
        return logits.argmax(dim=1)
    outputs = logits.new_tensor(selection.outputs).long()
    return outputs[logits[:, outputs].argmax(dim=1)]
