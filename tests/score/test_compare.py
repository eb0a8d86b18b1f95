import json
import tracemalloc

import cv2
import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from scipy.special import softmax
from skimage.metrics import structural_similarity

from edgecheck.errors import DataError, MeasurementError
from edgecheck.records import Similarity, to_json
from edgecheck.score import compare as module
from edgecheck.score.compare import Cams, ImageScores, Scoring, compare_images, summarize
from tests.score.maps import heat

N, SIZE = 23, (16, 20)
SCORING = Scoring(SIZE)


def cams(seed: int, noise: float = 0.0, n: int = N, classes: int = 4) -> Cams:
    random, other = np.random.default_rng(0), np.random.default_rng(seed)
    maps = random.normal(size=(n, 4, 5)) + noise * other.normal(size=(n, 4, 5))
    logits = (random.normal(size=(n, classes)) + noise * other.normal(size=(n, classes))).astype(np.float32)
    return Cams(np.maximum(maps, 0).astype(np.float32), logits, logits.argmax(axis=1))


BASELINE, VARIANT = cams(1), cams(2, noise=0.5)
LABELS = np.arange(N) % 4


def compare(method: str, baseline: Cams, variant: Cams, scoring: Scoring = SCORING, labels=LABELS) -> Similarity:
    return summarize(compare_images("v", method, baseline, variant, labels, scoring))


def naive_heatmap(coarse: np.ndarray) -> np.ndarray:
    first = coarse.astype(np.float64) - coarse.min()
    first /= 1e-7 + first.max()
    large = cv2.resize(first, SIZE[::-1], interpolation=cv2.INTER_LINEAR)
    large -= large.min()
    return large / (1e-7 + large.max())


def naive_sp2ps(a: np.ndarray, b: np.ndarray) -> float:
    u, v = naive_heatmap(a), naive_heatmap(b)
    x, y = u.ravel().astype(np.longdouble), v.ravel().astype(np.longdouble)
    sam = 1 - 2 * np.arccos(min(1, (x @ y) / np.sqrt((x @ x) * (y @ y)))) / np.pi
    how = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    ssim = max(0.0, structural_similarity(u, v, **how))
    return float(2 * sam * ssim / (sam + ssim))


def test_agrees_with_the_whole_definition_image_by_image() -> None:
    found = compare_images("v", "grad-cam", BASELINE, VARIANT, LABELS, SCORING)
    expected = [naive_sp2ps(a, b) for a, b in zip(BASELINE.maps, VARIANT.maps, strict=True)]
    np.testing.assert_allclose(found.sp2ps, expected, rtol=0, atol=1e-6)
    summary = summarize(found)
    assert summary.score == pytest.approx(np.mean(expected), abs=1e-6)
    assert summary.low < summary.score < summary.high
    assert summary.n == N


def test_a_variant_equal_to_its_baseline_scores_1() -> None:
    for kind in ("map", "rgb"):
        same = compare("grad-cam", BASELINE, BASELINE, Scoring(SIZE, kind))
        assert (same.score, same.low, same.high, same.ssim, same.sam) == pytest.approx((1,) * 5, abs=1e-12)
        assert same.pe_like == pytest.approx(1, abs=1e-12)
        assert (same.n_agreeing, same.agreeing_score) == (N, pytest.approx(1))


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_both_sides_are_rounded_alike(kind: type) -> None:
    exact = evolve(BASELINE, maps=np.random.default_rng(3).random((N, 4, 5)).astype(np.float64))
    stored = evolve(exact, maps=exact.maps.astype(np.float32 if kind is np.float64 else kind))
    for sides in ((exact, stored), (stored, exact)):
        assert compare("grad-cam", *sides).score == pytest.approx(1, abs=1e-12)


def test_predictions_that_differ() -> None:
    found = compare_images("v", "grad-cam", BASELINE, VARIANT, LABELS, SCORING)
    agree = BASELINE.logits.argmax(axis=1) == VARIANT.logits.argmax(axis=1)
    assert 0 < agree.sum() < N
    summary = summarize(found)
    assert summary.n_agreeing == agree.sum()
    assert summary.agreeing_score == pytest.approx(found.sp2ps[agree].mean())


def test_no_image_agrees() -> None:
    against = evolve(BASELINE, logits=-BASELINE.logits)
    summary = compare("grad-cam", BASELINE, against)
    assert (summary.n_agreeing, summary.agreeing_score) == (0, None)


def test_degenerate_maps_are_counted_and_scored() -> None:
    blank = BASELINE.maps.copy()
    blank[[0, 1, 2]] = 0
    other = VARIANT.maps.copy()
    other[[2, 3]] = 0.7  # constant: nothing stands out
    found = compare_images(
        "v", "grad-cam", evolve(BASELINE, maps=blank), evolve(VARIANT, maps=other), LABELS, Scoring(SIZE, "rgb")
    )
    np.testing.assert_array_equal(found.sp2ps[:4], [0, 0, 1, 0])
    summary = summarize(found)
    assert (summary.both_zero, summary.one_zero) == (1, 3)


def test_negative_explained_logits_are_counted_in_either_model() -> None:
    logits = np.full((N, 4), -1.0, np.float32)
    logits[:, 0] = 1
    a = Cams(BASELINE.maps, logits, np.array([0] * 20 + [1] * 3))
    b = Cams(VARIANT.maps, logits, np.array([0] * 18 + [2] * 3 + [0] * 2))
    assert compare("ablation-cam", a, b).negative_logits == 5


def test_pe_like_is_the_mean_over_classes() -> None:
    labels = np.array([0] * 20 + [3] * 3)
    found = compare_images("v", "grad-cam", BASELINE, VARIANT, labels, SCORING)
    assert summarize(found).pe_like == pytest.approx((found.pe_like[:20].mean() + found.pe_like[20:].mean()) / 2)
    rows = np.arange(N)
    change = softmax(VARIANT.logits, 1)[rows, VARIANT.classes] - softmax(BASELINE.logits, 1)[rows, BASELINE.classes]
    iou = 3 * found.pe_like - found.ssim - (1 - np.abs(change))
    assert ((iou > -1e-6) & (iou < 1 + 1e-6)).all()


def test_without_pe_like_all_else_is_the_same() -> None:
    whole = compare("grad-cam", BASELINE, VARIANT)
    found = compare("grad-cam", BASELINE, VARIANT, Scoring(SIZE, pe_like=False))
    assert np.isnan(found.pe_like)
    assert evolve(found, pe_like=whole.pe_like) == whole


def test_per_class_and_worst() -> None:
    labels = np.array([0] * 20 + [3] * 3)
    found = compare_images("v", "grad-cam", BASELINE, VARIANT, labels, SCORING)
    summary = summarize(found, ("cat", "dog", "eel"))
    assert list(summary.per_class) == ["cat", "3"]
    assert summary.per_class["3"] == pytest.approx(found.sp2ps[20:].mean())
    assert len(summary.worst) == module.WORST_IMAGES
    assert [image.score for image in summary.worst] == sorted(found.sp2ps)[: module.WORST_IMAGES]
    first = summary.worst[0]
    assert first.index == found.sp2ps.argmin()
    assert (first.label, first.baseline_class) == (labels[first.index], BASELINE.logits[first.index].argmax())
    assert first.variant_class == VARIANT.logits[first.index].argmax()


def test_batches_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compare_images("v", "grad-cam", BASELINE, VARIANT, LABELS, SCORING)
    monkeypatch.setattr(module, "BATCH_PIXELS", 5 * SIZE[0] * SIZE[1])
    parts = compare_images("v", "grad-cam", BASELINE, VARIANT, LABELS, SCORING)
    np.testing.assert_allclose(parts.sp2ps, whole.sp2ps, rtol=0, atol=1e-12)
    np.testing.assert_allclose(parts.pe_like, whole.pe_like, rtol=0, atol=1e-12)


def test_maps_of_two_resolutions_can_be_compared() -> None:
    coarse = evolve(VARIANT, maps=VARIANT.maps[:, ::2, ::2])
    assert 0 < compare("grad-cam", BASELINE, coarse).score < 1


def test_the_record_is_json_of_plain_numbers() -> None:
    summary = summarize(compare_images("v", "grad-cam", BASELINE, VARIANT, LABELS, SCORING), list("abcd"))
    assert json.loads(to_json(summary))["per_class"].keys() == set("abcd")
    assert summary == summarize(compare_images("v", "grad-cam", BASELINE, VARIANT, LABELS, SCORING), list("abcd"))


def test_heatmaps_exist_a_batch_at_a_time() -> None:
    n, size = 600, (64, 64)
    side = cams(1, n=n)
    tracemalloc.start()
    compare("grad-cam", side, side, Scoring(size), np.arange(n) % 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All heatmaps of both sides at once would be 39 MB before a single moment of SSIM (4 times that); the bootstrap
    # draws 8 MiB of indices and as many values.
    assert peak < 2 * n * size[0] * size[1] * 8


@pytest.mark.parametrize("name", ["maps", "logits"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_with_its_image(name: str, bad: float) -> None:
    broken = getattr(VARIANT, name).copy()
    broken[7].flat[1] = bad
    with pytest.raises(
        MeasurementError, match=r"tiny: 1 of 23 grad-cam maps or their logits are not finite, .* image 7"
    ):
        compare_images("tiny", "grad-cam", BASELINE, evolve(VARIANT, **{name: broken}), LABELS, SCORING)
    with pytest.raises(MeasurementError, match=r"^baseline: "):
        compare_images("tiny", "grad-cam", evolve(BASELINE, **{name: broken}), VARIANT, LABELS, SCORING)


def test_what_overflows_the_storage_type_is_refused() -> None:
    with pytest.raises(MeasurementError, match="not finite"):
        compare("grad-cam", evolve(BASELINE, maps=BASELINE.maps * np.float64(1e300)), VARIANT)


def test_sides_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="23 heatmaps of the baseline, 22 of the variant and 23 labels"):
        compare("grad-cam", BASELINE, cams(2, n=22))
    with pytest.raises(DataError, match="23 of the variant and 22 labels"):
        compare("grad-cam", BASELINE, VARIANT, labels=LABELS[:22])
    with pytest.raises(DataError, match="5 classes, but the baseline has 4"):
        compare("grad-cam", BASELINE, cams(2, classes=5))
    with pytest.raises(DataError, match="at least one"):
        compare("grad-cam", cams(1, n=0), cams(1, n=0), labels=LABELS[:0])
    with pytest.raises(DataError, match="8x8 pixels are smaller than the 11x11 window"):
        compare("grad-cam", BASELINE, VARIANT, Scoring((8, 8)))


@settings(deadline=None, max_examples=40)
@given(heat(0, 3e38, (3, 4)), heat(0, 3e38, (3, 4)))
def test_bounded_symmetric_and_no_mutation(one: np.ndarray, other: np.ndarray) -> None:
    logits = np.eye(3)
    u, v = Cams(one, logits, np.arange(3)), Cams(other, logits, np.arange(3))
    before = one.copy(), other.copy()
    found, back = (
        compare_images("v", "grad-cam", *sides, np.arange(3), Scoring((11, 12))) for sides in ((u, v), (v, u))
    )
    for name in ("sp2ps", "sam", "ssim", "pe_like"):
        values = getattr(found, name)
        assert ((values >= 0) & (values <= 1)).all(), name
        np.testing.assert_allclose(values, getattr(back, name), rtol=0, atol=1e-9)
    assert isinstance(found, ImageScores)
    np.testing.assert_array_equal(one, before[0])
    np.testing.assert_array_equal(other, before[1])
