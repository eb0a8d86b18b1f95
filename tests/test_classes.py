"""Which outputs of a network the classes of the data are."""

import json

import numpy as np
import pytest

from edgecheck.classes import Selection, read_map, select
from edgecheck.config import reader
from edgecheck.errors import ConfigError, DataError, EdgecheckError, InputError
from edgecheck.images import ImageSet, load_npz, save_npz, with_outputs
from edgecheck.score.selection import selected

IMAGENET = {"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"], "2": ["n02012849", "crane"], "3": ["crane"]}
NAMES = list(IMAGENET.values())


@pytest.mark.parametrize(
    ("entries", "classes", "outputs"),
    [
        ([7, 0, 3], ("a", "b", "c"), (7, 0, 3)),
        (NAMES, ("n02012849", "tench"), (2, 0)),
        ([["cat"], ["dog"], ["ant"]], ("ant", "cat", "dog"), (2, 0, 1)),
        ([["same", "same"], ["other"]], ("same",), (0,)),
        ([], ("a", "b"), None),
    ],
)
def test_numbers_go_by_place_and_names_by_name(entries, classes, outputs):
    found = select(entries, classes)
    assert (found and found.outputs) == outputs


@pytest.mark.parametrize(
    ("entries", "classes", "words"),
    [
        ([0, 1], ("a", "b", "c"), r"names 2 outputs, but the data has 3 classes \(a, b, c\)"),
        ([0, 0], ("a", "b"), "one class only"),
        ([0, -1], ("a", "b"), "count from 0"),
        ([0, ["b"]], ("a", "b"), "mixes numbers and names"),
        (NAMES, ("tensh",), r"none of 4 outputs is called so, did you mean 'tench'\?"),
        (NAMES, ("crane",), "'crane' is the name of outputs 2 and 3; give numbers"),
    ],
)
def test_a_selection_that_could_mean_something_else_is_refused(entries, classes, words):
    with pytest.raises(ConfigError, match=words):
        select(entries, classes)


def test_a_map_is_text_or_json(tmp_path):
    (tmp_path / "names.txt").write_text("tench\ngold fish \n\n")
    assert read_map(tmp_path / "names.txt") == [["tench"], ["gold fish"]]
    (tmp_path / "map.json").write_text(json.dumps(IMAGENET))
    assert read_map(tmp_path / "map.json") == NAMES
    (tmp_path / "map.json").write_text(json.dumps(["tench", "goldfish"]))
    assert read_map(tmp_path / "map.json") == [["tench"], ["goldfish"]]


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "3", '{"1": "a"}', '{"a": 0}', '{"0": []}', '{"0": [""]}', '{"0": 3}', "[" * 10**5, "\udcff"],
    ids=lambda text: text[:12],
)
def test_a_map_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "map.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"map\.json: not a class map") as caught:
        read_map(tmp_path / "map.json")
    assert "\n" not in str(caught.value)


def test_a_map_with_a_gap_or_that_is_not_there(tmp_path):
    (tmp_path / "names.txt").write_text("tench\n\ngoldfish\n")
    with pytest.raises(InputError, match="an output without a name"):
        read_map(tmp_path / "names.txt")
    for path in (tmp_path, tmp_path / "none.txt"):
        with pytest.raises(InputError, match="no class map file"):
            read_map(path)


@pytest.mark.parametrize(
    ("written", "entries"),
    [
        ("[217, 0]", [217, 0]),
        ("[tench, goldfish]", [["tench"], ["goldfish"]]),
        ("[[n01440764, tench], goldfish]", [["n01440764", "tench"], ["goldfish"]]),
        ("names.txt", [["tench"], ["goldfish"]]),
    ],
)
def test_the_configuration_takes_numbers_names_and_a_file_beside_it(tmp_path, written, entries):
    (tmp_path / "names.txt").write_text("tench\ngoldfish\n")
    plan = reader.parse(f"data: {{dataset: digits, classes: {written}}}", tmp_path / "edgecheck.yaml", {})
    assert plan.data.classes == entries


@pytest.mark.parametrize("written", ["[1.5]", "[true, false]", "{a: 1}", "none.txt", "[[1, 2]]", "[2026-01-01]"])
def test_a_mistake_in_the_configuration_is_one_line(tmp_path, written):
    with pytest.raises(EdgecheckError) as caught:
        reader.parse(f"data: {{dataset: digits, classes: {written}}}", tmp_path / "edgecheck.yaml", {})
    assert "\n" not in str(caught.value)


def test_labels_and_outputs_are_translated_both_ways():
    selection = Selection((7, 0, 3))
    assert selection.numbers(np.array([2, 0, 1])).tolist() == [3, 7, 0]
    assert selection.places(np.array([3, 7, 0])).tolist() == [2, 0, 1]
    assert selection.describe() == "classes are outputs 7, 0, 3"
    assert Selection(tuple(range(10)), 1000).describe() == "classes are outputs 0, 1, 2, 3, 4 and 5 more of 1,000"


def test_a_network_of_another_number_of_outputs_is_refused():
    with pytest.raises(DataError, match=r"net: it has 1001 outputs, but data\.classes names 1000"):
        Selection((0, 1), 1000).check("net", 1001)
    with pytest.raises(DataError, match=r"net: it has 7 outputs, but data\.classes asks for output 7"):
        Selection((7, 0)).check("net", 7)
    Selection((7, 0)).check("net", 8)


def test_a_selection_travels_with_the_images_and_changes_their_fingerprint(tmp_path):
    plain = ImageSet(np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 1]), ("ant", "bee"))
    data = with_outputs(plain, [5, 2])
    assert data.targets.tolist() == [5, 2]
    assert len({plain.sha256, data.sha256, with_outputs(plain, [2, 5]).sha256}) == 3
    save_npz(tmp_path / "d.npz", data)
    assert load_npz(tmp_path / "d.npz").selection == Selection((5, 2))
    np.savez(tmp_path / "d.npz", images=plain.images, labels=plain.labels, class_outputs=np.array([5, 5]))
    with pytest.raises(DataError, match="one class only"):
        load_npz(tmp_path / "d.npz")


def test_selected_logits_are_those_of_the_classes():
    logits = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    assert np.array_equal(selected(logits, Selection((4, 1, 8))), logits[:, [4, 1, 8]])
    assert selected(logits, None) is logits


def test_selected_probabilities_are_the_softmax_of_the_selected_logits():
    logits = np.random.default_rng(0).normal(size=(6, 9)) * 3
    logits[5, [4, 1, 8]] = -900  # all three underflow
    soft = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    few = np.exp(logits[:, [4, 1, 8]] - logits[:, [4, 1, 8]].max(axis=1, keepdims=True))
    found = selected(soft.astype(np.float32), Selection((4, 1, 8)))
    np.testing.assert_allclose(found, few / few.sum(axis=1, keepdims=True), rtol=1e-5)
