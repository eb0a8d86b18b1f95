"""The table of pruning structures: what each removes, which settings it takes, and where its function is."""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import frozen

from edgecheck.pruning.criteria import Ranked
from edgecheck.registry import Reference, lookup
from edgecheck.steps import Scope


@frozen(eq=False)
class Structure:
    """What a pruning step removes, and which settings such a step takes.

    `prune(state, step, scores, example)` returns the pruned network, see `lab.prune.interface.PruneFunction`. It is
    given as itself or as a reference `"package.module:name"`, which is imported on first use.

    Attributes:
        meaning: what is removed, in one line.
        source: the paper.
        ranks: whether a criterion has to score single weights or filters.
        prune: the function.
        default_scope: the default scope: lowest scores of the whole network or of each layer.
        takes_scope: whether the scope can be set.
        takes_round_to: whether layers can keep a multiple of a number of channels.
        takes_shares: whether a rate can be reached in several steps.
        takes_rates: whether single layers can have rates of their own.
        own_rate: for a structure that stands for a pattern of names, such as `2:4`: returns the rate that a name
            implies, None for other names. None where the name is that of the registry and the rate is set.
        example: a name of the pattern, for messages.
    """

    meaning: str
    source: str
    ranks: Ranked
    prune: Reference
    default_scope: Scope = "layer"
    takes_scope: bool = True
    takes_round_to: bool = False
    takes_shares: bool = True
    takes_rates: bool = False
    own_rate: Callable[[str], float | None] | None = None
    example: str = ""

    @property
    def shrinks(self) -> bool:
        """Whether shapes get smaller, and the file with them; zeros save nothing under ONNX Runtime."""
        return self.ranks == "filters"


def rate_of_pattern(name: str) -> float | None:
    """Return the share of weights that a name such as `2:4` removes; None for other names.

    Of `kept:of`, both are whole numbers up to 9999 and `kept` is the smaller.
    """
    match = re.fullmatch(r"([1-9]\d{0,3}):([1-9]\d{0,3})", name)
    kept, of = map(int, match.groups()) if match else (0, 0)
    return 1 - kept / of if 0 < kept < of else None


_IN = "edgecheck.lab.prune.structures"

STRUCTURES: dict[str, Structure] = {
    "unstructured": Structure(
        "single weights are set to zero; shapes stay",
        'Han et al. 2015, "Learning both weights and connections for efficient neural networks"',
        "weights",
        f"{_IN}.unstructured:prune",
        default_scope="global",
        takes_rates=True,
    ),
    # Filters of layers with different fan-in do not compare: under one threshold narrow layers would be emptied.
    "filters": Structure(
        "whole output channels are removed, with everything that depends on them; shapes get smaller",
        'Li et al. 2017, "Pruning filters for efficient ConvNets"',
        "filters",
        f"{_IN}.filters:prune",
        takes_round_to=True,
        takes_rates=True,
    ),
    "N:M": Structure(
        "of every M weights along the input channels, N stay",
        'Mishra et al. 2021, "Accelerating sparse deep neural networks", section 3',
        "weights",
        f"{_IN}.n_of_m:prune",
        takes_scope=False,
        takes_shares=False,
        own_rate=rate_of_pattern,
        example="2:4",
    ),
}


def find_structure(name: str) -> Structure:
    """Return the structure of this name, or the one whose pattern the name has.

    Raises:
        ConfigError: unknown name.
    """
    for structure in STRUCTURES.values():
        if structure.own_rate and structure.own_rate(name) is not None:
            return structure
    return lookup({structure.example or key: structure for key, structure in STRUCTURES.items()}, name, "structure")


def own_rate(name: str) -> float | None:
    """Return the rate that the name of a structure implies; None where the rate is set, and for unknown names."""
    rates = (structure.own_rate(name) for structure in STRUCTURES.values() if structure.own_rate)
    return next((rate for rate in rates if rate is not None), None)
