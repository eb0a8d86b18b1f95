"""The engine on a source in NumPy and on the PyTorch twin of the same network: methods do not know which they read."""

import pickle

import numpy as np
import pytest
import torch
from attrs import evolve
from torch import nn

from edgecheck.attribution import engine
from edgecheck.attribution.source import SOURCES, ExplainedSubject
from edgecheck.attribution.table import METHODS, needs_of
from edgecheck.classes import Selection
from edgecheck.config.plan import Compute, Preprocessing
from edgecheck.errors import ConfigError, DataError, ModelError
from edgecheck.images import ImageSet, preprocess
from edgecheck.lab.cam import twin
from edgecheck.registry import lookup
from tests.attribution.numpy_source import NumpySource, open_numpy
from tests.attribution.toys import registered

torch.set_num_threads(1)
HOW = Preprocessing(mean=[0.5, 0.5, 0.5], std=[0.25, 0.25, 0.25])
random = np.random.default_rng(0)
FIRST, SECOND = random.normal(size=(6, 3)).astype(np.float32), random.normal(size=(4, 6)).astype(np.float32)
DATA = ImageSet(random.integers(0, 256, (7, 12, 12, 3), dtype=np.uint8), np.zeros(7, np.int64), tuple("abcd"))


def build_twin():
    model = nn.Sequential(nn.Conv2d(3, 6, 1, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model.append(nn.Linear(6, 4, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.from_numpy(FIRST)[:, :, None, None])
        model[4].weight.copy_(torch.from_numpy(SECOND))
    return model.eval()


@pytest.fixture(params=["numpy", "twin"])
def source(request):
    """The same network, from either source."""
    if request.param == "numpy":
        yield NumpySource(FIRST, SECOND)
    else:
        subject = ExplainedSubject(None, build_twin, None, needs_of(METHODS), Compute(device="cpu"))
        with SOURCES["twin"](subject, preprocess(DATA.images[:1], HOW)) as opened:
            yield opened


def saliency(evidence):
    """A map of the inputs' resolution: the gradients' magnitude, averaged over the channels."""
    return abs(evidence.input_gradients()).mean(1)


def recipro(evidence):
    """ReciproCAM: what each position of the feature maps gives alone, from the network's own head."""
    maps = evidence.activations
    images, _, height, width = maps.shape
    single = evidence.namespace.eye(height * width, dtype=maps.dtype).reshape(1, height * width, 1, height, width)
    return evidence.head(maps[:, None] * single).reshape(images, height, width)


@pytest.mark.parametrize("method", list(METHODS))
def test_both_sources_give_the_same_maps(method):
    ours = engine.explain(NumpySource(FIRST, SECOND), DATA, HOW, [method])
    subject = ExplainedSubject(None, build_twin, "1", needs_of([method]), Compute(device="cpu"))
    with twin.open_twin(subject, preprocess(DATA.images[:1], HOW)) as opened:
        theirs = engine.explain(opened, DATA, HOW, [method])
    assert ours.maps[method].max() > 0
    assert ours.maps[method].dtype == theirs.maps[method].dtype == np.float32
    np.testing.assert_allclose(theirs.maps[method], ours.maps[method], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(theirs.logits, ours.logits, atol=1e-5)
    np.testing.assert_array_equal(theirs.classes, ours.classes)
    assert (theirs.target_layer, theirs.warnings) == ("1", [])


def test_maps_may_have_the_resolution_of_the_inputs(source):
    with registered("saliency", saliency, ["input-gradients"]):
        maps = engine.explain(source, DATA, HOW, ["saliency"]).maps["saliency"]
    inputs, wanted = preprocess(DATA.images[:], HOW), NumpySource(FIRST, SECOND).answer(preprocess(DATA.images[:], HOW))
    classes = wanted.logits.argmax(1)
    active = np.einsum("kc,nchw->nkhw", FIRST, inputs) > 0
    expected = abs(np.einsum("nk,nkhw,kc->nchw", SECOND[classes] / 144, active, FIRST)).mean(1)
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-7)


def test_a_method_may_run_the_networks_own_head(source):
    with registered("recipro", recipro, ["activations", "own-head"]):
        found = engine.explain(source, DATA, HOW, ["recipro"])
    # Pooling and a linear layer: the value of a position is the class activation map, without ReLU.
    maps = np.maximum(np.einsum("kc,nchw->nkhw", FIRST, preprocess(DATA.images[:], HOW)), 0)
    expected = np.einsum("nk,nkhw->nhw", SECOND[found.classes], maps) / 144
    np.testing.assert_allclose(found.maps["recipro"], expected, rtol=1e-3, atol=1e-6)


def test_selected_outputs_are_explained_as_the_networks_own(source):
    outputs = (3, 0)
    some = evolve(DATA, classes=("d", "a"), selection=Selection(outputs))
    found = engine.explain(source, some, HOW, ["grad-cam"])
    whole = NumpySource(FIRST, SECOND).answer(preprocess(DATA.images[:], HOW)).logits
    np.testing.assert_allclose(found.logits, whole[:, outputs], atol=1e-5)
    np.testing.assert_array_equal(found.classes, whole[:, outputs].argmax(1))
    with pytest.raises(DataError, match=r"TwoLayers|Sequential"):
        engine.explain(source, evolve(DATA, selection=Selection((9,))), HOW, [])


def test_a_source_that_lacks_a_part_names_the_methods_that_work():
    source = NumpySource(FIRST, SECOND)
    source.gives = frozenset(["activations", "drops"])
    with pytest.raises(ModelError, match=r"^Grad-CAM needs gradients, .* of TwoLayers cannot give; .*: ablation-cam$"):
        engine.explain(source, DATA, HOW, ["ablation-cam", "grad-cam"])
    assert set(engine.explain(source, DATA, HOW, ["ablation-cam"]).maps) == {"ablation-cam"}


def test_without_methods_no_evidence_is_asked_for():
    source = NumpySource(FIRST, SECOND)
    source.evidence = None
    assert engine.explain(source, DATA, HOW, []).maps == {}
    subject = ExplainedSubject(build_twin=lambda: nn.Sequential(nn.Flatten(), nn.Linear(432, 4)))
    with SOURCES["twin"](subject, preprocess(DATA.images[:1], HOW)) as opened:  # it has no layer to explain
        assert engine.explain(opened, DATA, HOW, []).logits.shape == (7, 4)


def test_a_method_that_gives_no_map_per_image_is_refused(source):
    with (
        registered("toy", lambda evidence: evidence.activations),
        pytest.raises(ModelError, match=r"method toy gives maps of shape \(7, 6, 12, 12\) for 7 images"),
    ):
        engine.explain(source, DATA, HOW, ["toy"])


def test_a_method_that_fails_is_one_line(source):
    with (
        registered("toy", lambda evidence: 1 / 0),
        pytest.raises(ModelError, match="method toy fails: ZeroDivisionError"),
    ):
        engine.explain(source, DATA, HOW, ["toy"])


def test_images_come_in_batches_no_larger_than_the_source_takes():
    sizes = []

    class Small(NumpySource):
        largest_batch = 3

        def answer(self, inputs):
            sizes.append(len(inputs))
            return super().answer(inputs)

    small = engine.explain(Small(FIRST, SECOND), DATA, HOW, ["grad-cam"])
    assert sizes == [3, 4]  # one left over joins the last
    np.testing.assert_allclose(
        small.maps["grad-cam"],
        engine.explain(NumpySource(FIRST, SECOND), DATA, HOW, ["grad-cam"]).maps["grad-cam"],
        rtol=1e-5,
        atol=1e-7,
    )


def test_a_source_registered_from_outside_is_opened_by_name(tmp_path, monkeypatch):
    monkeypatch.setitem(SOURCES, "numpy", open_numpy)
    np.savez(tmp_path / "weights.npz", first=FIRST, second=SECOND)
    subject = pickle.loads(pickle.dumps(ExplainedSubject(tmp_path / "weights.npz", build_twin, needs=["activations"])))
    with lookup(SOURCES, "numpy", "map source")(subject, preprocess(DATA.images[:1], HOW)) as opened:
        found = engine.explain(opened, DATA, HOW, ["hires-cam"])
    assert found.target_layer == "relu"
    with pytest.raises(ConfigError, match=r"unknown map source 'board'; known: .*numpy"):
        lookup(SOURCES, "board", "map source")


def test_a_subject_without_a_twin_has_no_heatmaps_of_it():
    with (
        pytest.raises(ModelError, match="need the PyTorch module"),
        SOURCES["twin"](ExplainedSubject(), preprocess(DATA.images[:1], HOW)),
    ):
        pass
