"""Maps of float files, against autograd on the module that they were exported from and against the whole file."""

import numpy as np
import pytest
import torch

from edgecheck.attribution.engine import maps_of
from edgecheck.attribution.source import ExplainedSubject
from edgecheck.device.explain.source import opened
from edgecheck.errors import ModelError
from tests.device.explain import independent, networks

IMAGES = 5
FREE = {
    "pooled": networks.Split,
    "max pooled": networks.MaxPooled,
    "global max": networks.GlobalMax,
    "padded average": networks.PaddedAverage,
    "flat": networks.Flat,
    "hidden layers": networks.Hidden,
    "1x1 convolution": networks.PointwiseHead,
    "map output": networks.MapOutput,
    "gated residual": networks.Gated,
    "bypass": networks.Bypass,
    "viewed": networks.Viewed,
    "viewed map": networks.ViewedMap,
}
ALL = ["grad-cam", "grad-cam++", "ablation-cam", "recipro-cam"]
WITHOUT_GRADIENTS = ["ablation-cam", "recipro-cam"]


def pixels(count=IMAGES, shape=networks.SHAPE):
    return np.random.default_rng(1).standard_normal((count, *shape)).astype(np.float32)


def by_autograd(model, x):
    """Return maps, logits, classes and gradients of the module."""
    inputs = torch.from_numpy(x)
    maps = model.maps(inputs).detach().requires_grad_()
    logits = model.scores(maps, inputs).flatten(1)
    classes = logits.argmax(dim=1)
    (gradients,) = torch.autograd.grad(logits[torch.arange(len(x)), classes].sum(), maps)
    return maps.detach().numpy(), logits.detach().numpy(), classes.numpy(), gradients.numpy()


@torch.no_grad()
def by_masks(model, x, maps, classes):
    """Return y_k `(N, K)` and the logits of single positions `(N, h, w)` of the module."""
    inputs, source, rows = torch.from_numpy(x), torch.from_numpy(maps), torch.arange(len(x))

    def explained(changed):
        return model.scores(changed, inputs).flatten(1)[rows, torch.from_numpy(classes)].numpy()

    ablated = []
    for channel in range(maps.shape[1]):
        changed = source.clone()
        changed[:, channel] = 0
        ablated.append(explained(changed))
    alone = np.zeros((len(x), *maps.shape[2:]), np.float32)
    for row, column in np.ndindex(*maps.shape[2:]):
        changed = torch.zeros_like(source)
        changed[:, :, row, column] = source[:, :, row, column]
        alone[:, row, column] = explained(changed)
    return np.stack(ablated, axis=1), alone


def expected(model, x):
    maps, logits, classes, gradients = by_autograd(model, x)
    ablated, alone = by_masks(model, x, maps, classes)
    return classes, {
        "grad-cam": independent.grad_cam(maps, gradients),
        "grad-cam++": independent.grad_cam_plusplus(maps, gradients),
        "ablation-cam": independent.ablation_cam(maps, logits[np.arange(len(x)), classes], ablated),
        "recipro-cam": alone,
    }


def explained(path, x, target=None, methods=ALL):
    """Return the source and the maps of the class that the file predicts."""
    source = opened(ExplainedSubject(path, target_layer=target), x)
    answer = source.answer(x)
    return source, answer, maps_of(answer, answer.logits.argmax(axis=1), methods)


def assert_same(found, wanted):
    for method, maps in found.items():
        scale = np.abs(wanted[method]).max()
        assert scale > 0
        np.testing.assert_allclose(maps, wanted[method], atol=1e-5 * scale, rtol=1e-4, err_msg=method)


@pytest.mark.parametrize("name", FREE)
def test_maps_are_those_of_the_module(tmp_path, name):
    model, x = networks.seeded(FREE[name]), pixels()
    path = networks.write(model, tmp_path / "model.onnx")
    feature = model.maps(torch.from_numpy(x)).detach().numpy()
    named = independent.tensor_of(path, x, feature)[0]
    methods = WITHOUT_GRADIENTS if name == "bypass" else ALL

    source, answer, found = explained(path, x, named if name == "bypass" else None, methods)

    assert source.target_layer == named
    classes, wanted = expected(model, x)
    np.testing.assert_array_equal(answer.logits.argmax(axis=1), classes)
    assert_same(found, wanted)


def test_every_class_can_be_explained(tmp_path):
    model, x = networks.seeded(networks.Hidden), pixels()
    answer = opened(ExplainedSubject(networks.write(model, tmp_path / "model.onnx")), x).answer(x)
    maps, logits, _, _ = by_autograd(model, x)
    for label in range(networks.CLASSES):
        classes = np.full(len(x), label)
        ablated, _ = by_masks(model, x, maps, classes)
        drops = answer.evidence(classes).drops()
        np.testing.assert_allclose(drops, logits[:, label, None] - ablated, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", ["pooled", "hidden layers", "bypass", "viewed", "map output"])
def test_a_fixed_number_of_images(tmp_path, name, batch):
    model, x = networks.seeded(FREE[name]), pixels()
    path = networks.write(model, tmp_path / "model.onnx", batch)
    feature = model.maps(torch.from_numpy(x[:batch])).detach().numpy()
    named = independent.tensor_of(path, x[:batch], feature)[0]
    methods = WITHOUT_GRADIENTS if name == "bypass" else ALL
    _, _, found = explained(path, x, named if name == "bypass" else None, methods)
    assert_same(found, expected(model, x)[1])


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["bypass", "viewed"])
def test_the_number_of_images_is_not_taken_for_another_size(tmp_path, name, count):
    """What bypasses the target, a size or a map, may be as long as the batch."""
    model, x = networks.seeded(FREE[name]), pixels(count)
    path = networks.write(model, tmp_path / "model.onnx")
    feature = model.maps(torch.from_numpy(x)).detach().numpy()
    _, _, found = explained(path, x, independent.tensor_of(path, x, feature)[0], WITHOUT_GRADIENTS)
    assert_same(found, expected(model, x)[1])


@pytest.mark.parametrize("name", ["pooled", "hidden layers", "1x1 convolution"])
def test_probabilities_are_explained_by_their_logits(tmp_path, name):
    model, x = networks.seeded(FREE[name]), pixels()
    path = networks.write(networks.Wrapped(model), tmp_path / "model.onnx")
    _, answer, found = explained(path, x)
    np.testing.assert_allclose(answer.logits, by_autograd(model, x)[1], atol=1e-5)
    assert_same(found, expected(model, x)[1])


def test_channels_last(tmp_path):
    model, x = networks.seeded(networks.ChannelsLast), pixels()
    path = networks.write(model, tmp_path / "model.onnx", last=True)
    _, _, found = explained(path, x)
    assert_same(found, expected(model, np.ascontiguousarray(x.transpose(0, 2, 3, 1)))[1])


def test_a_tail_with_a_branch_says_that_it_has_no_gradients(tmp_path):
    model, x = networks.seeded(networks.Bypass), pixels()
    path = networks.write(model, tmp_path / "model.onnx")
    feature = model.maps(torch.from_numpy(x)).detach().numpy()
    source = opened(ExplainedSubject(path, target_layer=independent.tensor_of(path, x, feature)[0]), x)
    assert "gradients" not in source.gives
    assert "behind" in source.lacks["gradients"]


@pytest.mark.parametrize("name", ["pooled", "hidden layers", "bypass", "viewed"])
@pytest.mark.parametrize("batch", [None, 3])
def test_scores_of_masked_images_and_of_other_maps(tmp_path, name, batch):
    model, x = networks.seeded(FREE[name]), pixels()
    path = networks.write(model, tmp_path / "model.onnx", batch)
    feature = model.maps(torch.from_numpy(x[: batch or IMAGES])).detach().numpy()
    named = independent.tensor_of(path, x[: batch or IMAGES], feature)[0]
    answer = opened(ExplainedSubject(path, target_layer=named), x).answer(x)
    classes, random = answer.logits.argmax(axis=1), np.random.default_rng(4)
    masks = random.random((IMAGES, 2, *networks.SHAPE[1:]), np.float32)
    others = random.random((IMAGES, 7, *answer.evidence(classes).activations.shape[1:]), np.float32)
    score, head = np.empty((IMAGES, 2)), np.empty((IMAGES, 7))
    with torch.no_grad():
        for place in range(2):
            masked = model(torch.from_numpy(x * masks[:, place, None]))
            score[:, place] = masked.numpy()[np.arange(IMAGES), classes]
        for place in range(7):
            replaced = model.scores(torch.from_numpy(others[:, place]), torch.from_numpy(x))
            head[:, place] = replaced.numpy()[np.arange(IMAGES), classes]
    np.testing.assert_allclose(answer.evidence(classes).score(masks), score, atol=1e-5)
    np.testing.assert_allclose(answer.evidence(classes).head(others), head, atol=1e-5)


def test_a_closed_form_that_is_wrong_is_not_used(tmp_path, monkeypatch):
    """It is compared with the definition on the first batches."""
    model, x = networks.seeded(networks.Split), pixels()
    source = opened(ExplainedSubject(networks.write(model, tmp_path / "model.onnx")), x)
    assert source.ablation.closed
    right = source.ablation._in_closed_form
    monkeypatch.setattr(source.ablation, "_in_closed_form", lambda passed: right(passed) * np.float32(1.01))
    answer = source.answer(x)
    classes, wanted = expected(model, x)
    assert_same(maps_of(answer, classes, ["ablation-cam"]), wanted)
    assert not source.ablation.closed


def test_a_cut_that_computes_something_else_is_refused(tmp_path, monkeypatch):
    model, x = networks.seeded(networks.Split), pixels()
    source = opened(ExplainedSubject(networks.write(model, tmp_path / "model.onnx")), x)
    run = source.tail.values
    monkeypatch.setattr(
        source.tail, "values", lambda *given: {name: value + np.float32(0.01) for name, value in run(*given).items()}
    )
    with pytest.raises(ModelError, match="it gives other logits than whole"):
        source.answer(x)
