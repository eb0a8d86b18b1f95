import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from edgecheck.config.plan import Preprocessing
from edgecheck.device.runtime.accuracy import (
    BATCH_BYTES,
    LARGEST_BATCH,
    calibration_error,
    drop_interval,
    mcnemar,
    per_class,
    predict,
    readings,
)
from edgecheck.device.runtime.session import open_classifier
from edgecheck.errors import DataError, ModelError
from edgecheck.images import ImageSet, preprocess
from tests.device.small_files import expected, write

PLAIN = Preprocessing()


def image_set(n, size=8, seed=0, classes=4):
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 255, (n, size, size, 3), dtype=np.uint8)
    return ImageSet(pixels, random.integers(0, classes, n), tuple(map(str, range(classes))))


def one_hot(classes, count=4):
    return np.eye(count, dtype=np.float32)[classes]


@pytest.mark.parametrize("batch", ["N", 1, 7])
def test_predict_gives_what_numpy_gives_over_several_batches(tmp_path, batch):
    data = image_set(LARGEST_BATCH * 2 + 5)
    how = Preprocessing(range=(0, 2), mean=[0.1, 0.2, 0.3], std=[0.5, 1.0, 2.0])
    classifier = open_classifier(write(tmp_path / "model.onnx", shape=(batch, 3, 8, 8)))

    outputs = predict(classifier, data, how)

    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, expected(preprocess(data.images, how)), atol=1e-5)


def test_large_images_are_run_few_at_a_time(tmp_path):
    seen = []

    class Watched:
        path, batch, classes = tmp_path, None, 4

        def run(self, images):
            seen.append(images.nbytes)
            return np.zeros((len(images), 4), dtype=np.float32)

    predict(Watched(), image_set(10, size=224), PLAIN)

    assert len(seen) == 4
    assert max(seen) <= BATCH_BYTES


def test_progress_counts_batches(tmp_path):
    counted = []

    class Counting:
        def track(self, items, text, total=None, images=None):
            items = list(items)
            counted.append((text, total, [images(item) for item in items]))
            yield from items

        def note(self, text):
            raise AssertionError(text)

    predict(open_classifier(write(tmp_path / "model.onnx")), image_set(LARGEST_BATCH + 1), PLAIN, Counting())

    assert counted == [("predicting", LARGEST_BATCH + 1, [LARGEST_BATCH, 1])]


def test_outputs_that_are_no_numbers_are_refused(tmp_path):
    classifier = open_classifier(write(tmp_path / "model.onnx", dtype=TensorProto.FLOAT16))
    data = image_set(5)
    data.images[[2, 4]] = 255
    overflowing = Preprocessing(range=(0, 65504 * 255 / 254.5))  # only a full white pixel exceeds float16

    with pytest.raises(ModelError, match="NaN or infinite outputs on 2 of 5 images, first on image 2"):
        predict(classifier, data, overflowing)


def test_label_outside_the_outputs_is_refused_where_the_file_does_not_say_its_classes(tmp_path):
    with pytest.raises(DataError, match="it has 4 outputs, but the data 10 classes, and image 0 has label 9"):
        predict(
            open_classifier(write(tmp_path / "model.onnx")),
            ImageSet(np.zeros((2, 8, 8, 3), np.uint8), np.array([9, 0]), tuple(map(str, range(10)))),
            PLAIN,
        )


def test_readings_by_hand():
    labels = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 1])
    baseline = one_hot([0, 1, 2, 3, 0, 1, 2, 3, 1, 2])  # 8 right
    variant = one_hot([0, 1, 2, 3, 0, 0, 0, 0, 0, 2])  # 6 right: three lost, one gained; 6 the same

    taken = {r.metric: r for r in readings("half", variant, labels, baseline)}
    accuracy, drop, agreement = (taken[name] for name in ("accuracy", "accuracy_drop_pp", "agreement"))

    assert (accuracy.metric, accuracy.value, accuracy.n) == ("accuracy", 0.6, 10)
    assert drop.metric == "accuracy_drop_pp"
    assert drop.value == pytest.approx(20.0)
    assert drop.note == "3 images lost, 1 gained; exact McNemar test: p = 0.62"
    assert (agreement.metric, agreement.value) == ("agreement", 0.6)
    assert {r.variant for r in (accuracy, drop, agreement)} == {"half"}
    assert all(r.low < r.value < r.high for r in (accuracy, drop, agreement))


def test_baseline_has_no_drop():
    metrics = [r.metric for r in readings("baseline", one_hot([0, 1]), np.array([0, 0]))]

    assert "accuracy" in metrics
    assert not {"accuracy_drop_pp", "agreement"} & set(metrics)


def test_arrays_of_different_lengths_are_refused():
    with pytest.raises(DataError, match=r"differ in length \[2, 3\]"):
        readings("v", one_hot([0, 1, 2]), np.array([0, 1]), one_hot([0, 1, 2]))


def test_drop_interval_covers_the_true_drop_in_95_of_100_experiments():
    random = np.random.default_rng(1)
    n, lost_share, gained_share = 400, 0.03, 0.01
    draws = random.multinomial(n, [lost_share, gained_share, 1 - lost_share - gained_share], size=4000)
    intervals = np.array([drop_interval(int(lost), int(gained), n) for lost, gained, _ in draws])

    covered = ((intervals[:, 0] <= 2.0) & (intervals[:, 1] >= 2.0)).mean()

    assert 0.935 <= covered <= 0.975


@settings(deadline=None)
@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n))))
def test_drop_interval_encloses_the_drop_and_changes_sign_with_it(numbers):
    n, lost, rest = numbers
    gained = min(rest, n - lost)

    low, high = drop_interval(lost, gained, n)

    assert -100 <= low <= 100 * (lost - gained) / n <= high <= 100
    assert low < high
    assert drop_interval(gained, lost, n) == pytest.approx((-high, -low))


def test_accuracy_by_class_by_hand():
    labels, predicted = np.array([0, 0, 0, 2, 2]), np.array([0, 1, 0, 2, 0])
    taken = {r.metric: r for r in readings("v", one_hot(predicted), labels)}

    assert per_class(one_hot(predicted), labels) == {0: 2 / 3, 2: 0.5}
    assert taken["accuracy.worst_class"].value == 0.5


def test_top5_by_hand():
    logits = np.arange(70, dtype=np.float32).reshape(10, 7)  # class 6 is the largest, class 2 the fifth
    taken = {r.metric: r for r in readings("v", logits, np.array([6, 5, 4, 3, 2, 1, 0, 6, 6, 6]))}

    assert taken["accuracy.top5"].value == 0.8
    few = {r.metric: r for r in readings("v", one_hot([0, 1]), np.array([0, 1]))}
    assert few["accuracy.top5"].value is None
    assert "with 4 classes" in few["accuracy.top5"].note


def test_calibration_error_by_hand():
    """Two bins: three images at 0.9 of which two are right, one at 0.6 that is wrong."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.6, 0.4]], np.float32)
    labels = np.array([0, 0, 1, 1])
    expected = 3 / 4 * abs(0.9 - 2 / 3) + 1 / 4 * 0.6

    assert calibration_error(probabilities, labels) == pytest.approx(expected, abs=1e-6)
    assert calibration_error(np.log(probabilities), labels) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_binomial_test(lost, gained):
    from scipy.stats import binomtest

    expected = binomtest(lost, lost + gained).pvalue if lost + gained else 1.0

    assert mcnemar(lost, gained) == pytest.approx(expected, rel=1e-6)
    assert mcnemar(lost, gained) == pytest.approx(mcnemar(gained, lost))


def test_mcnemar_does_not_underflow():
    assert 0 <= mcnemar(0, 5000) < 1e-300
