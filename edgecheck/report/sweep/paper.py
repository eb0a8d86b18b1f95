"""The paper's figures for comparison: Renza & Ballesteros, Informatics 2023, 10(3), 72, tables 1 to 3.

CIFAR-10 at six increasing pruning rates: accuracy drop in percentage points, drop of Sp2PS and PE-score in percent.
"""

from __future__ import annotations

HIGHEST = "grad-cam++"  # the method with the highest Sp2PS at every rate

ACCURACY_DROP_PP = {
    "ablation-cam": (0.19, 0.58, 0.80, 1.49, 1.60, 6.77),
    "grad-cam": (0.19, 0.58, 0.80, 1.49, 1.60, 6.77),
    "grad-cam++": (0.13, 0.58, 0.80, 1.49, 1.60, 6.77),
}
SP2PS_DROP = {
    "ablation-cam": (5.04, 14.59, 12.09, 20.30, 35.01, 39.36),
    "grad-cam": (6.18, 12.91, 12.09, 19.13, 35.01, 39.36),
    "grad-cam++": (2.30, 5.57, 7.34, 13.36, 14.07, 29.79),
}
PE_ACCURACY_DROP_PP = (0.25, 0.58, 0.71, 3.45, 3.63, 6.50)
PE_DROP = {
    "ablation-cam": (15, 16, 17, 20, 22, 24),
    "grad-cam": (21, 22, 24, 28, 30, 31),
    "grad-cam++": (10, 10, 12, 14, 16, 17),
}
