"""How far a logit falls when one channel of the feature map is set to zero, and what each position gives alone.

In closed form where the logits are affine in values computed channel by channel, otherwise by running the tail on
changed copies of the map: the definition itself. The closed form must agree with the definition on the first batches
before it is trusted.
"""

from __future__ import annotations

import numpy as np

from edgecheck.device.explain.tail import CHUNK_BYTES, Array, Passed, Tail

CHECKS = 2  # batches
CHECKED_CHANNELS = 16  # spread over all channels, of the first image
TOLERANCE = 1e-4  # relative to the size of the logits; a wrong formula is off by the size of the drops themselves


class Ablation:
    """Ablates channels and positions before one tail; `closed` says whether it still does so in closed form."""

    def __init__(self, tail: Tail) -> None:
        self.tail, self.closed, self.checks_left = tail, tail.cut.chain.affine_behind, CHECKS
        self._nothing: dict[str, Array] | None = None

    def drops(self, passed: Passed) -> Array:
        """Return y - y_k `(N, K)` for every channel k."""
        if self.closed and self.checks_left:
            self._check(passed)
        channels = np.arange(passed.maps.shape[1])
        return self._in_closed_form(passed) if self.closed else self._by_copies(passed, channels)

    def positions(self, passed: Passed) -> Array:
        """Return the explained logit `(N, h, w)` of each position of the map kept alone."""
        images, channels, height, width = passed.maps.shape
        if self.closed and self.tail.cut.chain.affine:
            gradient = self.tail.cut.target.ordered(self.tail.gradient(passed))
            return np.einsum("nkhw,nkhw->nhw", gradient, passed.maps) + self._offset(passed)[:, None, None]
        places = np.arange(height * width)
        at_once = max(1, CHUNK_BYTES // max(1, passed.maps.nbytes))
        scores = []
        for start in range(0, len(places), at_once):
            chosen = places[start : start + at_once]
            kept = np.zeros((images, len(chosen), channels, height * width), np.float32)
            source = passed.maps.reshape(images, channels, -1)
            kept[:, np.arange(len(chosen)), :, chosen] = source[:, :, chosen].transpose(2, 0, 1)
            scores.append(self.tail.explained(passed, kept.reshape(images, len(chosen), channels, height, width)))
        return np.concatenate(scores, axis=1).reshape(images, height, width)

    def _in_closed_form(self, passed: Passed) -> Array:
        """Y - y_k = sum over channel k's part of z of dy/dz (z(A) - z(0)): exact where y is affine in z."""
        chain = self.tail.cut.chain
        changed = chain.steps[chain.by_channel - 1].output if chain.by_channel else self.tail.cut.target.tensor
        change = passed.values[changed] - self._at_zero(passed)[changed]
        parts = self.tail.gradient(passed, chain.by_channel) * change
        images, channels = passed.maps.shape[:2]
        if chain.channels in ("first", "major"):
            return parts.reshape(images, channels, -1).sum(axis=2)
        return parts.reshape(images, -1, channels).sum(axis=1)

    def _by_copies(self, passed: Passed, channels: np.ndarray) -> Array:
        logits = self._logits(passed)
        drops = []
        at_once = max(1, CHUNK_BYTES // max(1, passed.maps.nbytes))
        for start in range(0, len(channels), at_once):
            chosen = channels[start : start + at_once]
            copies = np.repeat(passed.maps[:, None], len(chosen), axis=1)
            copies[:, np.arange(len(chosen)), chosen] = 0
            drops.append(logits[:, None] - self.tail.explained(passed, copies))
        return np.concatenate(drops, axis=1)

    def _check(self, passed: Passed) -> None:
        self.checks_left -= 1
        every = np.arange(passed.maps.shape[1])
        some = every[:: -(-len(every) // CHECKED_CHANNELS)]
        first = _first(passed)
        scale = max(1.0, float(np.abs(self._logits(first)).max(initial=0)))
        difference = np.abs(self._in_closed_form(first)[:, some] - self._by_copies(first, some)).max()
        self.closed = bool(difference <= TOLERANCE * scale)

    def _at_zero(self, passed: Passed) -> dict[str, Array]:
        """Return the values of the chain for a map of zeros; one entry, which broadcasts over images."""
        if self._nothing is None:
            values = self.tail.values(np.zeros_like(passed.maps[:1]), passed.others)
            self._nothing = {name: value[:1] for name, value in values.items()}
        return self._nothing

    def _offset(self, passed: Passed) -> Array:
        """Return the explained logit of a map of zeros, `(N,)`."""
        return self._at_zero(passed)[self.tail.cut.logits].reshape(-1)[passed.classes]

    def _logits(self, passed: Passed) -> Array:
        logits = passed.values[self.tail.cut.logits].reshape(len(passed.classes), -1)
        return logits[np.arange(len(passed.classes)), passed.classes]


def _first(passed: Passed) -> Passed:
    """Return the first image of a batch; the whole batch where its values cannot be divided."""
    if not passed.divisible:
        return passed
    others = {name: value[:1] for name, value in passed.others.items()}
    values = {name: value[:1] for name, value in passed.values.items()}
    return Passed(passed.maps[:1], others, passed.classes[:1], values)
