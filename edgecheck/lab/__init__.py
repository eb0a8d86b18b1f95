"""Everything that needs PyTorch: twins, their data, training, pruning, export and heatmaps.

Importing this package makes `import torchvision` work, so nothing in it may import torchvision any earlier.
"""

from edgecheck.lab import torchvision_cure as torchvision_cure
