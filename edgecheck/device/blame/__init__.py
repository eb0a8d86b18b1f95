"""Which layer of a quantized file did it: the error of each layer beside its float baseline, base install only."""
