"""Maps that scores must get right: random, smooth, constant, tiny, extreme; and a hypothesis strategy for more."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays


def kinds(height: int = 16, width: int = 19) -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    rows, columns = np.mgrid[0:height, 0:width]
    smooth = np.exp(-((rows - 5.0) ** 2 + (columns - 9.0) ** 2) / 30)
    spike = np.zeros((height, width))
    spike[height // 2, width // 2] = 1
    return {
        "random": random.random((height, width)),
        "smooth": smooth,
        "shifted": np.roll(smooth, 3, axis=1),
        "opposite": 1 - smooth,
        "nearly smooth": smooth * (1 - 1e-9 * random.random((height, width))),
        "constant": np.full((height, width), 0.4),
        "one": np.ones((height, width)),
        "zero": np.zeros((height, width)),
        "tiny": random.random((height, width)) * 1e-30,
        "spike": spike,
        "checkered": ((rows + columns) % 2).astype(float),
    }


def pairs() -> tuple[list[tuple[str, str]], np.ndarray, np.ndarray]:
    """Every map with every map: names, first, second."""
    maps = kinds()
    names = [(a, b) for a in maps for b in maps]
    return names, np.stack([maps[a] for a, _ in names]), np.stack([maps[b] for _, b in names])


def heat(low: float = 0.0, high: float = 1.0, size: tuple[int, int] = (12, 13)) -> st.SearchStrategy[np.ndarray]:
    """Three maps of one size; hypothesis likes zeros, repeated and subnormal values."""
    return arrays(np.float64, (3, *size), elements=st.floats(low, high), fill=st.floats(low, high))
