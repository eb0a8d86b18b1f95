"""Optuna proposes points of a grid, by what is known of others. What it thinks best is never used: the gate decides."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, Protocol

from attrs import frozen

from edgecheck.errors import DependencyError

STARTUP = 5  # points known before proposals stop being random; the search has tried some already
VIOLATED = 1.0  # a constraint that nothing is known of, or that cannot be measured
Point = Mapping[str, int]
"""By axis, the number of one of its choices."""


@frozen(eq=False)
class Proposal:
    """A point, and what the optimizer knows it by."""

    point: Point
    handle: Any = None


class Proposer(Protocol):
    """Proposes points, and is told what came of them."""

    def enqueue(self, point: Point) -> None:
        """Have a point proposed before all others."""

    def ask(self) -> Proposal:
        """Propose a point; it may be one that was proposed before."""

    def tell(self, proposal: Proposal, value: float, constraints: Mapping[str, float]) -> None:
        """Tell the value of a point, which is minimized, and its constraints: those above 0 are violated."""


class Optimizer:
    """Optuna's tree-structured Parzen estimator over choices in a meaningful order.

    Args:
        axes: how many choices each axis has.
        seed: of the sampler.

    Raises:
        DependencyError: Optuna is not installed.
    """

    def __init__(self, axes: Mapping[str, int], seed: int) -> None:
        optuna = need_optuna()
        self._axes = dict(axes)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(
            direction="minimize", sampler=optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=seed)
        )

    def enqueue(self, point: Point) -> None:
        """Have a point proposed before all others."""
        self._study.enqueue_trial(dict(point))

    def ask(self) -> Proposal:
        """Propose a point."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = self._study.ask()
            return Proposal({name: trial.suggest_int(name, 0, count - 1) for name, count in self._axes.items()}, trial)

    def tell(self, proposal: Proposal, value: float, constraints: Mapping[str, float]) -> None:
        """Tell a result. The constraints come first: a trial that has none counts as feasible."""
        for name, excess in constraints.items():
            proposal.handle.set_constraint(name, excess if math.isfinite(excess) else VIOLATED)
        self._study.tell(proposal.handle, value)


def need_optuna() -> Any:
    """Return the module.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise DependencyError(
            f"search.refine needs Optuna, but {error.name or error} is not installed; run: pip install "
            "'edgecheck[search]', or leave out refine and --trials"
        ) from None
    return optuna
