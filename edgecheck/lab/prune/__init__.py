"""Pruning: one step removes the weights or filters that a criterion scores lowest."""

from edgecheck.lab.prune.interface import Ranking, RankingInput, Samples, relative_to_mean, unit_scores
from edgecheck.lab.prune.ranking import check_fits, rank, score
from edgecheck.lab.prune.state import (
    Compressed,
    cuts_from_json,
    cuts_to_json,
    load_state,
    save_state,
    uncompressed,
)
from edgecheck.lab.prune.step import prune
from edgecheck.lab.prune.surgery import reshaped

__all__ = [
    "Compressed",
    "Ranking",
    "RankingInput",
    "Samples",
    "check_fits",
    "cuts_from_json",
    "cuts_to_json",
    "load_state",
    "prune",
    "rank",
    "relative_to_mean",
    "reshaped",
    "save_state",
    "score",
    "uncompressed",
    "unit_scores",
]
