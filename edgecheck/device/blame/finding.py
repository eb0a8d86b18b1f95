"""A quantized file beside its float baseline, and with its worst layers in float."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from edgecheck import images
from edgecheck.config.plan import Preprocessing
from edgecheck.device.blame.comparing import Comparison, compare
from edgecheck.device.blame.trial import Trial, keep, run
from edgecheck.device.runtime import probe
from edgecheck.device.runtime.ort import Options
from edgecheck.images import ImageSet
from edgecheck.progress import Named, Progress

# Images that the tensors of the layers are compared on, drawn from the data: a tensor has thousands of values for each,
# so that more of them change no decimal that matters.
COMPARED = 256


@frozen(eq=False)
class Found:
    """The result of a comparison: the float file, the candidate, and the candidate with its worst layers in float.

    `compared` is the number of images that tensors were compared on, `data` all of them.
    """

    comparison: Comparison
    compared: int
    data: ImageSet
    baseline: Trial
    candidate: Trial
    kept: list[Trial]

    @property
    def advised(self) -> Trial | None:
        """The trial with the fewest layers in float that repairs the candidate."""
        return next((one for one in self.kept if one.repairs(self.candidate, self.baseline)), None)

    def accuracy(self, one: Trial) -> float | None:
        """Return the accuracy of a file, 0..1."""
        return one.accuracy(self.data.labels)

    def agreement(self, one: Trial) -> float | None:
        """Return the share of images for which a file predicts the class that the float file predicts."""
        changed = one.changed(self.baseline)
        return None if changed is None else 1 - changed / len(self.data)


def find(
    paths: tuple[Path, Path], options: Options, data: ImageSet, how: Preprocessing, most: int, progress: Progress
) -> Found:
    """Compare the layers of a quantized file with those of its float file, and run it with the worst ones in float.

    Args:
        paths: the float file and the one that was quantized from it.
        options: how they are run.
        data: labelled images.
        how: their preprocessing.
        most: how many layers to keep in float at most: 1, 2, 4, ... are tried; 0 for none.
        progress: told of every batch.

    Raises:
        ModelError: a file cannot be run, or they are not a float file and a quantized one of the same network.
        DataError: images that do not fit the files.
        MeasurementError: a run crashed, took too long or needed too much memory.
    """
    for path in paths:
        probe.run(path, options, data.shape)
    chosen, _ = images.draw(data, COMPARED, seed=0)
    comparison = compare(paths, options, chosen, how, progress)
    baseline, candidate = (run(path, [], data, how, Named(progress, path.name)) for path in paths)
    counts = [2**power for power in range(min(most, len(comparison.errors)).bit_length())]
    kept = [
        keep(comparison, comparison.errors[:count], data, how, Named(progress, f"{count} in float")) for count in counts
    ]
    return Found(comparison, len(chosen), data, baseline, candidate, kept)
