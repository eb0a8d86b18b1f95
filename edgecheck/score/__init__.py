"""Heatmap mathematics in numpy: class activation maps, SSIM, SAM, Sp2PS and the PE-like score."""
