"""The key of a stage: it changes with every input, and with nothing else."""

import pickle
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecheck.artefact import Artefact
from edgecheck.config.plan import DataSpec, ModelSpec, Preprocessing
from edgecheck.corruption.table import Corruption
from edgecheck.device.diagnostics import Target
from edgecheck.device.latency.sampler import Sampling
from edgecheck.device.runtime.ort import Options
from edgecheck.pipeline.stage import key_of, keyed
from edgecheck.pipeline.stages.network import Before
from edgecheck.pipeline.subject import DataSource, Drawn, Images, Network, Seen
from edgecheck.records import Criterion, Diagnostic
from edgecheck.steps import FineTuneStep, Preserve, PruneStep, Quantize, QuantizeStep, RecalibrateStep, Recipe
from tests.pipeline.fields import all_stages, changed, leaves
from tests.pipeline.toys import Clip, Slim

FILE = Artefact("5ea1", Path("a.onnx"))
SOURCE = DataSource(DataSpec("folder", Path("images")), ["c0ffee"])
NETWORK = Network(
    {"source": "net.py", "weights": "ab"},
    0,
    ModelSpec("net.py:build"),
    (3, 8, 8),
    {"conv out": [1]},
    Artefact("57", Path("w")),
)
EXAMPLES = {
    "source": SOURCE,
    "preprocessing": Preprocessing((8, 8), (0, 1), [0.5], [0.2]),
    "network": NETWORK,
    "images": Images(Artefact("da7a", Path("data.npz")), (3, 8, 8), [1, 2]),
    "before": Before(NETWORK, Artefact("57a7e", Path("state-0")), (3, 8, 8), 1, False),
    "samples": Drawn(SOURCE, Preprocessing(), 8, 0, "prune.images"),
    "calibration": Drawn(SOURCE, Preprocessing(), 8, 0, "quantize.images"),
    "runtime": Options(),
    "target": Target(21, 10),
    "machine": {"cpu": "one", "flags": ["avx2"]},
    "sampling": Sampling(1.0, 0, 2.0, 1),
    "criteria": [Criterion("latency.ratio", "<=", 1.0)],
    "candidates": ["a"],
    "files_by_name": {"a": FILE},
    "notes": [Diagnostic("text", {"text": "x"})],
    "seen": Seen([1, 2], "5eed"),
    "shape": (3, 8, 8),
    "size": (8, 8),
    "methods": ["grad-cam"],
    "cuts": {"conv out": [1]},
    "explained": True,
    "preserved": ("grad-cam",),
    "recalibrated": True,
    "last": True,
    "layer": "conv",
    "criterion": "l1",
    "ranked": "filters",
    "engine": "edgecheck",
    "corruption": Corruption("jpeg", 2),
    "classes": "predicted",
    "sam": "map",
    "device": "cpu",
    "count": 3,
    "opset": 18,
    "seed": 0,
    "place": 1,
    "processes": 1,
    "threads": 2,
}
STEPS = {
    "Prune": PruneStep("l1", "filters", "layer", 0.5, 8, 0.5, {"conv": 0.25}),
    "FineTune": FineTuneStep(Recipe(preserve=Preserve(), recalibrate_batchnorm=8), 0),
    "Quantize": QuantizeStep("int8", Quantize(exclude=["conv"])),
    "Recalibrate": RecalibrateStep(64, 0),
    "Change": Clip(),
    "Convert": Slim(),
}


def example(kind):
    """Return a stage with every field filled, so that all of its inputs are there to be changed."""
    values = {}
    for field in attrs.fields(kind):
        if field.name == "step":
            values["step"] = STEPS[kind.__name__]
        elif field.name == "source" and kind.__name__ in ("Explain", "Quantize", "Convert"):
            values["source"] = "twin" if kind.__name__ == "Explain" else FILE
        else:
            values[field.name] = EXAMPLES.get(field.name, FILE)
    return kind(**values)


KINDS = sorted(all_stages(), key=lambda kind: kind.__name__)


def test_every_stage_is_here():
    assert {kind.__name__ for kind in KINDS} >= {
        "ReadImages",
        "Prune",
        "FineTune",
        "Export",
        "Explain",
        "Time",
        "Count",
    }
    assert len({kind.kind for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data(), salt=st.integers(1, 1000))
def test_every_input_counts_and_no_locator_does(kind, data, salt):
    stage = example(kind)
    path, hidden = data.draw(st.sampled_from(list(leaves(stage))))
    twin = changed(stage, path, salt)
    assert (key_of(twin) == key_of(stage)) == hidden, path


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_stage_can_be_pickled_and_keeps_its_key(kind):
    stage = example(kind)
    assert key_of(pickle.loads(pickle.dumps(stage))) == key_of(stage)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_only_what_has_its_content_elsewhere_is_left_out_of_the_key(kind):
    allowed = {"path", "model", "setting", "threads", "place"}
    hidden = {step for path, out in leaves(example(kind)) if out for step in path if step in allowed}
    assert all(any(step in allowed for step in path) for path, out in leaves(example(kind)) if out), hidden


def test_version_of_the_stage_counts(monkeypatch):
    stage = example(KINDS[0])
    before = key_of(stage)
    monkeypatch.setattr(KINDS[0], "version", 2)
    assert key_of(stage) != before


@pytest.mark.parametrize("value", [lambda: None, object(), {1}, open])
def test_what_has_no_content_is_no_input(value):
    with pytest.raises(TypeError, match="cannot be an input of a stage"):
        keyed(value)


def test_a_field_that_came_later_is_part_of_the_key_only_where_it_is_set():
    """So that what an older version stored is found again."""
    old = {"step", "epochs", "epochs_between", "batch_size", "learning_rate", "momentum", "weight_decay", "schedule"}
    old |= {"warmup_epochs", "label_smoothing", "flip", "crop", "distill", "temperature", "validation", "patience"}
    step = FineTuneStep(Recipe(), 0)
    assert set(keyed(step)["recipe"]) | {"step"} == {*old, "precision"}
    for recipe in (
        Recipe(preserve=Preserve()),
        Recipe(freeze_batchnorm_statistics=True),
        Recipe(recalibrate_batchnorm=2),
    ):
        assert len(keyed(recipe)) == len(keyed(Recipe())) + 1
    pruning = PruneStep("l1", "filters", "layer", 0.5)
    assert set(keyed(pruning)) == {"step", "criterion", "structure", "scope", "rate", "round_to", "share"}
    assert keyed(attrs.evolve(pruning, rates={"conv": 0.25}))["rates"] == {"conv": 0.25}
