"""A scan of the layers as text: what happens when one layer alone is pruned or quantized."""
