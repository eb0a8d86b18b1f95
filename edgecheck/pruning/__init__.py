"""Which pruning criteria and structures exist: declarations that need no PyTorch. `lab.prune` applies them."""
