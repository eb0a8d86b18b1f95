"""An executor that trains and measures nothing: what a stage gives follows from its inputs, and differs with each.

All that it gives holds `content`, a hash of the inputs as the key has them, so that whoever got something from a stage
can be told by it.
"""

from concurrent.futures import Future

import numpy as np

from edgecheck.device.latency.timings import FileTimes, LatencySamples
from edgecheck.device.runtime.probe import ProbeResult
from edgecheck.images import ImageSet, save_npz
from edgecheck.pipeline.stage import key_of
from edgecheck.pipeline.stages.anchors import AnchorsMeasured
from edgecheck.pipeline.stages.baseline import BaselineSaved
from edgecheck.pipeline.stages.chance import ChanceMeasured
from edgecheck.pipeline.stages.compare import Compared
from edgecheck.pipeline.stages.corrupt import Corrupted
from edgecheck.pipeline.stages.count import Counted
from edgecheck.pipeline.stages.explain import Explained
from edgecheck.pipeline.stages.export import Written
from edgecheck.pipeline.stages.fits import Fits
from edgecheck.pipeline.stages.images import ImagesRead
from edgecheck.pipeline.stages.locate import Located
from edgecheck.pipeline.stages.network import Changed
from edgecheck.pipeline.stages.pictures import Drawn
from edgecheck.pipeline.stages.predict import Predicted
from edgecheck.pipeline.stages.profile import Profiled
from edgecheck.pipeline.stages.quantize import Quantized
from edgecheck.pipeline.stages.rank import Ranking
from edgecheck.pipeline.stages.saturation import Saturated
from edgecheck.pipeline.stages.suspect import Attempt, Attempts
from edgecheck.pipeline.subject import Seen
from edgecheck.pipeline.work import Computed
from edgecheck.records import Diagnostic, Gallery, ImageScore, Mark, Similarity

IMAGES, CLASSES = 40, 10


def number(content):
    """Return a number that stands for a content."""
    return int(content[:12], 16)


def told(content):
    return [Diagnostic("text", {"text": content})]


def pixels(content):
    drawn = np.random.default_rng(number(content)).integers(0, 256, (IMAGES, 16, 16, 1), np.uint8)
    return ImageSet(drawn, np.arange(IMAGES) % CLASSES, tuple("0123456789"))


def similarity(method, content):
    """Return what reports can be made of, whatever digits were added to the name of a method."""
    scores = dict.fromkeys(("score", "low", "high", "ssim", "sam", "pe_like", "agreeing_score"), 0.5)
    counts = dict.fromkeys(("n", "n_agreeing"), IMAGES) | dict.fromkeys(("both_zero", "one_zero", "negative_logits"), 0)
    return Similarity(
        "", method.rstrip("0123456789"), **scores, **counts, worst=[ImageScore(number(content), 0.1, 0, 0, 0)]
    )


def mark(content):
    return Mark(0.4, 0.3, 0.5, number(content))


def times(stage, content):
    """Return the least that readings can be made of."""
    blocks = [{name: FileTimes([[1.0]], open_s=1.0, first_s=1.0) for name in stage.files_by_name}]
    batch = dict.fromkeys(stage.files_by_name, 1)
    return LatencySamples(next(iter(batch)), 1, 2, 0, number(content), batch, 1.0, 1.0, False, blocks)


def seen(content):
    return Seen([number(content)], content)


OUTPUTS = {
    "data": lambda stage, content: ImagesRead(content, (1, 16, 16), 0),
    "corrupt": lambda stage, content: Corrupted(IMAGES),
    "make": lambda stage, content: BaselineSaved(number(content)),
    "target": lambda stage, content: Fits(content, {}),
    "rank": lambda stage, content: Ranking(told(content), seen(content) if stage.samples else None),
    "export": lambda stage, content: Written(told(content)),
    "convert": lambda stage, content: Written(told(content)),
    "quantize": lambda stage, content: Quantized(told(content), seen(content)),
    "trial": lambda stage, content: ProbeResult(number(content), [1.0]),
    "count": lambda stage, content: Counted(*[number(content)] * 8, [], {}, [[number(content)]]),
    "predict": lambda stage, content: Predicted(IMAGES),
    "saturation": lambda stage, content: Saturated(told(content)),
    "suspect": lambda stage, content: Attempts([Attempt(content, False, 0.1, IMAGES)]),
    "explain": lambda stage, content: Explained(f"layer-{content}", "cpu", told(content), {}),
    "locate": lambda stage, content: Located(f"tensor-{content}"),
    "chance": lambda stage, content: ChanceMeasured(dict.fromkeys(stage.methods, mark(content))),
    "anchors": lambda stage, content: AnchorsMeasured(*[dict.fromkeys(stage.methods, mark(content))] * 2),
    "similarity": lambda stage, content: Compared([similarity(method, content) for method in stage.methods]),
    "pictures": lambda stage, content: Drawn(Gallery(stage.methods[0], 0.5, 16, 16)),
    "profile": lambda stage, content: Profiled([], number(content), None, "", told(content)),
    "latency": times,
} | dict.fromkeys(
    ("prune", "finetune", "recalibrate", "change"),
    lambda stage, content: Changed(number(content), 0.5, {"conv out": [number(content)]}, told(content)),
)


def write(path, content):
    """Write a file of a stage: what a run itself reads, as it reads it; anything else as text."""
    if path.name == "data.npz":
        save_npz(path, pixels(content))
    elif path.name.startswith("logits") or path.name.endswith("cams.npz"):
        logits = np.zeros((IMAGES, CLASSES), np.float32)
        logits[:, 0] = 1 + number(content) / 2**48  # a guess, so that other preprocessings are tried
        np.savez(path, logits=logits)
    else:
        path.write_text(content)


class Fakes:
    """Notes every stage it is given, by variant and name.

    Args:
        same: stages whose "files" or "outputs" come out as those of others, by name and by which of the two.
    """

    slots = 1

    def __init__(self, same=None):
        self.computed, self._same = {}, same or {}

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        pass

    def submit(self, job):
        work, stage = job.work, job.work.stage
        name = work.variant, stage.name
        assert name not in self.computed, "computed twice"
        self.computed[name] = stage
        for file in stage.files:
            write(job.run_folder / work.variant / file, key_of(self._same.get((name, "files"), stage)))
        like = self._same.get((name, "outputs"), stage)
        future = Future()
        future.set_result(Computed(OUTPUTS[stage.kind](like, key_of(like)), 0.0))
        return future
