"""Declarations of pruning criteria and structures, which need no PyTorch; `lab.prune` applies them."""
