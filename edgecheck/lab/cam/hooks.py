"""The two parts of a network that cannot be traced: all of it, with a hook on its target layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from edgecheck.errors import ModelError
from edgecheck.lab.cam.cut import Values


class Hooked:
    """Body and tail of a network, each a run of the whole with a hook on the last call of the target layer."""

    def __init__(self, model: nn.Module, layer: nn.Module) -> None:
        self.model, self.layer = model, layer
        self.calls = 0

    def body(self, inputs: Tensor) -> tuple[Tensor, Values]:
        """Return the layer's output and, as the only other value, the inputs.

        Raises:
            ModelError: the layer is not called on these inputs.
        """
        outputs: list[Any] = []
        self._run(inputs, lambda output: outputs.append(output.clone() if isinstance(output, Tensor) else output))
        self.calls = len(outputs)
        if not outputs:
            raise ModelError(f"the target layer ({type(self.layer).__name__}) is never called on these images")
        return outputs[-1], (inputs,)

    def tail(self, feature: Tensor, inputs: Tensor) -> Tensor:
        """Return the logits of `inputs` with the layer's output replaced.

        Raises:
            ModelError: the layer is called more or fewer times than in the last run of `body`.
        """
        calls = 0

        def replace(_output: Any) -> Any:
            nonlocal calls
            calls += 1
            return feature.clone() if calls == self.calls else None

        logits = self._run(inputs, replace)
        if calls != self.calls:
            raise ModelError(
                f"the target layer ({type(self.layer).__name__}) is called {calls} times on a changed feature map, "
                f"{self.calls} times before: name a layer that is called once"
            )
        return logits

    def _run(self, inputs: Tensor, replace: Callable[[Any], Any]) -> Any:
        handle = self.layer.register_forward_hook(lambda module, arguments, output: replace(output))
        try:
            return self.model(inputs.clone())
        finally:
            handle.remove()
