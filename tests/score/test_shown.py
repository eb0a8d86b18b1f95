"""Which images a report shows, by hand and by property."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgecheck.score.cam_file import CamFile
from edgecheck.score.shown import Answers, records, select


def answers(classes, confidence=None):
    classes = np.array(classes)
    return Answers(classes, np.array(confidence if confidence is not None else [0.9] * len(classes)))


def by_group(chosen):
    return {group: [index for one, index in chosen if one == group] for group in ("moved", "changed", "typical")}


LABELS = np.array([0, 0, 1, 1, 0, 1, 0, 1])
BEFORE = answers([0, 0, 1, 0, 0, 1, 1, 1], [0.9, 0.8, 0.7, 0.99, 0.6, 0.95, 0.5, 0.4])
AFTER = answers([0, 1, 0, 1, 0, 0, 1, 1])
SP2PS = np.array([0.5, 0.1, 0.15, 0.3, 0.9, 0.6, 0.4, 0.7])


def test_each_group_by_hand():
    """Images 0 4 6 7 keep their class. Of the others 1, 2 and 5 were right before, the surest 5; 3 was wrong.

    The median is (0.4 + 0.5) / 2 = 0.45. With two per group, 6 0 5 1 are taken; the rest lies 0.15 (3), 0.25 (7),
    0.3 (2) and 0.45 (4) from it.
    """
    assert by_group(select(SP2PS, LABELS, BEFORE, AFTER, 2)) == {"moved": [6, 0], "changed": [5, 1], "typical": [3, 7]}


def test_what_the_baseline_had_wrong_comes_last_however_sure_it_was():
    assert by_group(select(SP2PS, LABELS, BEFORE, AFTER, 4))["changed"] == [5, 1, 2, 3]


def test_the_first_of_equal_images_comes_first():
    same = answers([0] * 6)
    chosen = select(np.full(6, 0.5), np.zeros(6, int), same, same, 2)
    assert by_group(chosen) == {"moved": [0, 1], "changed": [], "typical": [2, 3]}


def test_a_variant_that_changes_every_class_has_nothing_in_the_first_group():
    chosen = select(SP2PS[:3], LABELS[:3], answers([0, 0, 0]), answers([1, 1, 1]), 5)
    assert by_group(chosen) == {"moved": [], "changed": [0, 1, 2], "typical": []}


@given(st.data(), st.integers(1, 30), st.integers(0, 12))
def test_an_image_is_shown_once_and_in_the_group_it_belongs_to(data, n, count):
    def draw(values):
        return np.array(data.draw(st.lists(values, min_size=n, max_size=n)))

    classes, shares = st.integers(0, 2), st.floats(0, 1)
    sp2ps, labels = draw(shares), draw(classes)
    before, after = Answers(draw(classes), draw(shares)), Answers(draw(classes), draw(shares))

    chosen = select(sp2ps, labels, before, after, count)
    groups = by_group(chosen)

    assert len({index for _, index in chosen}) == len(chosen)
    same = before.classes == after.classes
    assert len(groups["moved"]) == min(count, same.sum())
    assert len(groups["changed"]) == min(count, (~same).sum())
    assert len(groups["typical"]) == min(count, n - len(groups["moved"]) - len(groups["changed"]))
    assert all(same[groups["moved"]])
    assert not any(same[groups["changed"]])
    left_out = [index for index in np.flatnonzero(same) if index not in groups["moved"]]
    if groups["moved"] and left_out:
        assert sp2ps[groups["moved"]].max() <= sp2ps[left_out].min()
    right = [before.classes[index] == labels[index] for index in groups["changed"]]
    assert right == sorted(right, reverse=True)
    away = np.abs(sp2ps - np.median(sp2ps))[groups["typical"]]
    assert list(away) == sorted(away)


def test_the_answer_of_a_model_is_its_arg_max_with_its_probability():
    logits = np.log(np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]], np.float32))
    found = Answers.of(CamFile({}, logits, np.zeros(3, int)))
    assert found.classes.tolist() == [1, 0, 0]
    np.testing.assert_allclose(found.confidence, [0.8, 0.5, 0.9], atol=1e-6)


def test_a_record_has_what_was_found_on_its_image():
    (one,) = records([("changed", 5)], {"grad-cam": SP2PS, "layer-cam": SP2PS / 2}, LABELS, BEFORE, AFTER)
    assert (one.index, one.group, one.label) == (5, "changed", 1)
    assert (one.baseline_class, one.baseline_confidence) == (1, 0.95)
    assert (one.variant_class, one.variant_confidence) == (0, 0.9)
    assert one.sp2ps == {"grad-cam": 0.6, "layer-cam": 0.3}
    assert (one.picture, one.heatmap("grad-cam", "variant")) == ("image-00005.webp", "grad-cam-00005-variant.webp")
