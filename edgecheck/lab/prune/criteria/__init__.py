"""One file a criterion; each files itself in the registry."""

from edgecheck.lab.prune.criteria import (
    bn_scale,
    fpgm,
    functionality,
    hrank,
    l1,
    l2,
    lrp,
    random,
    senpis,
    taylor,
)

__all__ = ["bn_scale", "fpgm", "functionality", "hrank", "l1", "l2", "lrp", "random", "senpis", "taylor"]
