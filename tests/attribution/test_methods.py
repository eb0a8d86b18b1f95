"""Every method on NumPy and on PyTorch: one definition, the same maps to float64's last digits."""

import numpy as np
import pytest
import torch

from edgecheck.attribution.evidence import Evidence, weighted_map
from edgecheck.attribution.methods import function_of, register_method, score_cam
from edgecheck.attribution.table import METHODS, Method, default_criteria, default_methods, in_order, needs_of
from edgecheck.errors import ConfigError, ModelError
from edgecheck.gate.sentence import parse
from edgecheck.metrics import METRICS
from tests.attribution.toys import registered

SIZE = (9, 8)
random = np.random.default_rng(0)
ACTIVATIONS = random.normal(size=(3, 5, 3, 4))
GRADIENTS = random.normal(size=(3, 5, 3, 4))
DROPS = random.normal(size=(3, 5))
POSITIONS = random.normal(size=(3, 3, 4))
LOGITS = np.array([2.0, -1.5, 0.0])


def evidence(convert):
    """The network's logit is the mean of its input, which is 1 everywhere: it scores masks by their area."""
    return Evidence(
        convert(ACTIVATIONS),
        convert(LOGITS),
        SIZE,
        gradients=lambda: convert(GRADIENTS),
        drops=lambda: convert(DROPS),
        score=lambda masks: masks.mean((2, 3)),
        positions=lambda: convert(POSITIONS),
    )


@pytest.mark.parametrize("method", list(METHODS))
def test_both_namespaces_give_the_same_maps(method):
    ours = function_of(method)(evidence(np.asarray))
    theirs = function_of(method)(evidence(torch.from_numpy))
    assert isinstance(ours, np.ndarray)
    assert isinstance(theirs, torch.Tensor)
    assert ours.shape == (3, 3, 4)
    assert ours.dtype == np.float64
    assert ours.max() > 0
    np.testing.assert_allclose(theirs.numpy(), ours, rtol=1e-12, atol=1e-14)


def weights_of(method):
    """The definitions, written a second time, channel by channel and image by image."""
    g, a = GRADIENTS, ACTIVATIONS
    with np.errstate(divide="ignore", invalid="ignore"):
        share = g**2 / (2 * g**2 + a.sum((2, 3), keepdims=True) * g**3 + 1e-6)
    return {
        "grad-cam": g.mean((2, 3)),
        "grad-cam++": (np.maximum(g, 0) * share).sum((2, 3)),
        "ablation-cam": np.array([row / y if y else 0 * row for row, y in zip(DROPS, LOGITS, strict=True)]),
        "layer-cam": np.maximum(g, 0),
        "hires-cam": g,
        "xgrad-cam": (g * a / (a.sum((2, 3), keepdims=True) + 1e-7)).sum((2, 3)),
    }[method]


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("score-cam", "recipro-cam")])
def test_maps_are_the_definition(method):
    weights = weights_of(method)
    letters = "nk" if weights.ndim == 2 else "nkhw"
    expected = np.maximum(np.einsum(f"{letters},nkhw->nhw", weights, ACTIVATIONS), 0)
    np.testing.assert_allclose(function_of(method)(evidence(np.asarray)), expected, rtol=1e-10, atol=1e-12)


def test_recipro_cam_is_what_the_positions_give_negative_values_included():
    np.testing.assert_array_equal(function_of("recipro-cam")(evidence(np.asarray)), POSITIONS)
    assert POSITIONS.min() < 0


def test_score_cam_weighs_by_the_softmax_of_what_the_masks_leave():
    masks = torch.nn.UpsamplingBilinear2d(size=SIZE)(torch.from_numpy(ACTIVATIONS))
    masks = masks - masks.amin((2, 3), keepdim=True)
    masks = masks / (masks.amax((2, 3), keepdim=True) + 1e-8)
    weights = masks.mean((2, 3)).softmax(1).numpy()
    expected = np.maximum(np.einsum("nk,nkhw->nhw", weights, ACTIVATIONS), 0)
    np.testing.assert_allclose(function_of("score-cam")(evidence(np.asarray)), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("size", "at_once"), [(1, 1), (3 * 9 * 8 * 8 * 2, 2), (2**30, 5)])
def test_chunks_bound_the_masks_and_do_not_matter(size, at_once, monkeypatch):
    expected, counts = function_of("score-cam")(evidence(np.asarray)), []

    def score(masks):
        counts.append(masks.shape[1])
        return masks.mean((2, 3))

    monkeypatch.setattr(score_cam, "CHUNK_BYTES", size)
    chunked = function_of("score-cam")(Evidence(ACTIVATIONS, LOGITS, SIZE, score=score))
    np.testing.assert_allclose(chunked, expected, rtol=1e-12, atol=1e-14)
    assert max(counts) == at_once


def test_a_constant_channel_shows_the_network_nothing():
    seen = []

    def score(masks):
        seen.append(masks)
        return masks.mean((2, 3))

    maps = function_of("score-cam")(Evidence(np.full((1, 3, 2, 2), 7.0), np.ones(1), SIZE, score=score))
    assert not seen[0].any()
    np.testing.assert_allclose(maps, 7)  # three equal weights of 1/3


def test_nan_is_not_hidden_by_the_relu():
    broken = np.where(np.arange(4) == 2, np.nan, ACTIVATIONS)
    assert np.isnan(weighted_map(Evidence(broken, LOGITS, SIZE), np.ones((3, 5, 1, 1)))).any()


@pytest.mark.parametrize("part", ["gradients", "drops", "score", "head", "positions", "input_gradients"])
def test_a_part_that_a_source_cannot_give_is_refused_with_a_way_out(part):
    with pytest.raises(ModelError, match=r"the map source gives no .*; methods that work without: .*-cam"):
        getattr(Evidence(ACTIVATIONS, LOGITS, SIZE), part)()


def test_the_papers_thresholds_are_the_default_gate():
    assert default_criteria(default_methods()) == ["sp2ps.grad-cam >= 0.95", "sp2ps.ablation-cam >= 0.90"]
    assert default_criteria(["score-cam"]) == []
    assert [parse(text).limit for text in default_criteria(METHODS)] == [0.95, 0.9]


def test_order_and_needs():
    assert in_order(["toy", "score-cam", "grad-cam"]) == ["grad-cam", "score-cam", "toy"]
    assert needs_of(["grad-cam", "score-cam"]) == {"activations", "gradients", "masks"}
    with pytest.raises(ConfigError, match="did you mean 'grad-cam'"):
        needs_of(["gradcam"])


def test_a_registered_method_can_be_gated_and_is_gone_no_longer_than_asked():
    with registered("toy", lambda evidence: evidence.activations[:, 0]):
        assert parse("sp2ps.toy >= 0.5").metric == "sp2ps.toy"
        assert parse("pe_like.toy >= 0.5").metric == "pe_like.toy"
        np.testing.assert_array_equal(function_of("toy")(evidence(np.asarray)), ACTIVATIONS[:, 0])
    assert "sp2ps.toy" not in METRICS
    with pytest.raises(ConfigError, match="unknown CAM method 'toy'"):
        function_of("toy")


def test_a_name_cannot_be_taken_twice():
    with pytest.raises(ValueError, match="registered twice"):
        register_method(Method("grad-cam", "Mine", ("activations",), "here"), lambda evidence: evidence.activations)
