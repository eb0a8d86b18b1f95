"""`edgecheck search` from the configuration to its page."""

import json

import pytest

from edgecheck.cli import main
from edgecheck.records import Search, from_dict
from tests.cli.test_recipes import text_of as recipes_text

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("files_in_this_process")]

SPACE = "search: {structure: filters, rate: [0.1, 0.3, 0.6], recipe: none, quantization: [none, int8]}\n"
GATE = "gate: {criteria: [sp2ps.grad-cam >= 0.95, accuracy_drop_pp <= 5]}\n"


def text_of(tiny_config, space=SPACE, gate=GATE):
    head = recipes_text(tiny_config).split("recipes:")[0]
    head = head.replace("limit: 60\n", "limit: 120\n", 1)
    return (
        head
        + space
        + "finetune: {epochs: 1}\nquantize: {images: 32}\nmeasure: {latency_budget_s: 0, rss: false}\n"
        + gate
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory, tiny_config):
    path = tmp_path_factory.mktemp("search") / "edgecheck.yaml"
    path.write_text(text_of(tiny_config))
    return path


@pytest.fixture(scope="module")
def folder(config):
    folder = config.parent / "found"
    with pytest.raises(SystemExit) as stop:
        main(["search", str(config), "--out", str(folder), "--format", "json"])
    assert stop.value.code == 0
    return folder


@pytest.fixture
def write(tmp_path, tiny_config):
    def written(space=SPACE, gate=GATE):
        path = tmp_path / "edgecheck.yaml"
        path.write_text(text_of(tiny_config, space, gate))
        return path

    return written


def record_of(folder):
    return from_dict(json.loads((folder / "search.json").read_text()), Search)


def test_it_finds_int8_without_pruning_since_pruned_and_untrained_ones_lose_accuracy(folder):
    found, report = record_of(folder), json.loads((folder / "report.json").read_text())
    assert found.found == found.judged == "baseline-int8"
    assert report["recommendation"]["variant"] == "baseline-int8"
    assert report["statuses"] == {"baseline-int8": "PASS"}
    assert found.space == 7
    assert len(found.attempts) < found.space


def test_the_two_halves_share_no_image_and_the_report_says_which_it_is_about(folder):
    import numpy as np

    halves = [np.load(place / "data.npz") for place in (folder / "search", folder)]
    first, second = ({image.tobytes() for image in half["images"]} for half in halves)
    assert len(first) == len(second) == 60
    assert not first & second
    labels = [np.bincount(half["labels"], minlength=10) for half in halves]
    assert np.abs(labels[0] - labels[1]).max() <= 1
    report = json.loads((folder / "report.json").read_text())
    assert report["subject"]["dataset"].endswith("the second of two halves drawn by seed 0")


def test_a_variant_that_loses_accuracy_is_not_explained(folder):
    failed = [one for one in record_of(folder).attempts if one.variant.startswith("l1-")]
    assert failed
    for one in failed:
        assert [verdict.metric for verdict in one.verdicts] == ["accuracy_drop_pp"]
        assert not (folder / "search" / one.variant / "cams.npz").exists()


def test_the_page_shows_both_halves_and_why_nothing_smaller_passes(folder):
    html, markdown = ((folder / name).read_text() for name in ("search.html", "search.md"))
    for page in (html, markdown.replace("\\", "").replace("&gt;", ">")):
        assert "Ship baseline-int8: 0.30x the size of the baseline." in page
        assert "It passes on 60 images that the search did not use." in page
        assert "searched, 60 images" in page
        assert "judged, 60 images" in page
        assert "Why nothing smaller passes" in page
    assert "Content-Security-Policy" in html
    assert "<script" not in html


def test_a_second_search_makes_nothing_again(folder, config, edgecheck):
    before = (folder / "search.json").read_text()
    code, _, err = edgecheck("search", config, "--out", folder)
    assert code == 0
    assert "exporting" not in err
    old, new = json.loads(before), json.loads((folder / "search.json").read_text())
    assert {**old, "command": None} == {**new, "command": None}


def test_the_folder_can_be_judged_again(folder, edgecheck):
    assert edgecheck("gate", folder)[0] == 0
    assert edgecheck("gate", folder, "--gate", "size.bytes <= 1 kB")[0] == 1


def test_where_nothing_passes_the_nearest_is_judged_and_the_exit_code_is_1(write, tmp_path, edgecheck):
    space = "search: {rate: [0.3, 0.6], recipe: none, quantization: none}\n"
    code, _, err = edgecheck("search", write(space), "--out", tmp_path / "out")
    assert code == 1
    found = record_of(tmp_path / "out")
    assert found.found is None
    assert found.judged == "l1-filters-0.30-none"
    assert "Keep the baseline: no variant passes. 2 of 2 variants tried. Nearest: l1-filters-0.30-none" in err


def test_a_variant_that_passes_and_saves_nothing_is_not_found(write, tmp_path, edgecheck):
    space = "search: {minimize: macs, rate: [0.6], recipe: none, quantization: int8}\n"
    code, _, err = edgecheck("search", write(space), "--out", tmp_path / "out")
    assert code == 1
    assert record_of(tmp_path / "out").found is None
    assert "baseline-int8 passes, without less work (MACs) than the baseline (2 of 2 variants tried)" in err


def test_the_budget_ends_the_search(folder, config, edgecheck, tmp_path):
    more = ["--budget", "1 variant", "--reuse", folder / "search"]
    code, _, _ = edgecheck("search", config, "--out", tmp_path / "out", *more)
    found = record_of(tmp_path / "out")
    assert code == 0
    assert len(found.attempts) == 1
    assert found.stopped == "the budget of 1 variants was spent"


@pytest.mark.parametrize(
    ("space", "gate", "problem"),
    [
        ("search: {structure: unstructured, quantization: none}\n", GATE, "no variant of this space can have less"),
        (
            SPACE,
            "gate: {criteria: [size.bytes <= 1 MB]}\n",
            "none of them fails a variant whose accuracy or heatmaps get worse",
        ),
        (SPACE, "gate: {criteria: [parity.max_abs <= 0.001]}\n", "none of them fails a variant whose accuracy"),
        (SPACE, "gate: {criteria: [accuracy_drop_pp <= 2 warn]}\n", "none of them fails a variant whose accuracy"),
        (SPACE, "gate: {criteria: [accuracy >= 10 %, calibration.error <= 0 %]}\n", "the baseline itself has"),
        ("search: {recipe: [nope]}\n", GATE, "edgecheck.yaml: search: unknown recipe 'nope'"),
        ("search: {rate: [0.5, 1]}\n", GATE, "a pruning rate lies between 0 and 1, both excluded, not 1"),
        (
            SPACE.replace("search: {", "search: {minimize: latency.ratio, "),
            GATE,
            "latency_budget_s: 0 measures no latency",
        ),
        (SPACE, "gate: {criteria: [accuracy_drop_pp <= 5, latency.ratio <= 1]}\n", "latency_budget_s: 0 measures no"),
    ],
)
def test_a_search_without_hope_is_refused_in_one_line(space, gate, problem, write, refused, tmp_path):
    assert problem in refused("search", write(space, gate), "--out", tmp_path / "out")


def test_a_budget_of_another_form_is_refused(config, refused, tmp_path):
    assert "write a time such as 2h" in refused("search", config, "--out", tmp_path / "out", "--budget", "soon")
    assert not (tmp_path / "out").exists()


def test_a_budget_too_small_for_one_variant_is_refused(config, refused, tmp_path):
    assert "leaves no time for a variant" in refused("search", config, "--out", tmp_path / "out", "--budget", "0.01s")


def test_too_few_images_for_two_halves_are_refused(write, refused, tmp_path):
    path = write()
    path.write_text(path.read_text().replace("limit: 120\n", "limit: 19\n", 1))
    assert "at least 20 test images" in refused("search", path, "--out", tmp_path / "out")


def test_a_limit_that_nothing_meets_is_an_answer_with_a_page(write, tmp_path, edgecheck):
    gate = "gate: {criteria: [sp2ps.grad-cam >= 0.95, size.bytes <= 1 kB]}\n"
    code, _, err = edgecheck("search", write(SPACE, gate), "--out", tmp_path / "out")
    assert code == 1
    found = record_of(tmp_path / "out")
    assert (found.found, len(found.attempts)) == (None, 1)  # the smallest shows by how much
    assert "Keep the baseline: no variant passes" in err
    assert "within the limits on size and time" in (tmp_path / "out" / "search.md").read_text()


def test_what_a_device_has_to_decide_is_not_decided(write, folder, tmp_path, edgecheck):
    gate = GATE.replace("]}", ", latency.p90_s@pi4 <= 30 ms]}")
    more = ["--reuse", folder]  # that of a search stands for the stages in it
    code, _, err = edgecheck("search", write(SPACE, gate), "--out", tmp_path / "out", *more)
    assert code == 1
    assert "finished stages reused" in err
    assert "Not decided: pi4 has not measured baseline-int8." in err


def test_branches_that_cannot_be_judged_are_left_out_and_named(write, tmp_path, edgecheck):
    gate = GATE.replace("]}", ", parity.max_abs <= 0.001]}")
    space = "search: {rate: [0.1], recipe: none, quantization: [none, int8]}\n"
    _, _, err = edgecheck("search", write(space, gate), "--out", tmp_path / "out")
    assert "int8, recipe none: left out, since a quantized file has no twin, so parity.max_abs is missing" in err
    assert all("int8" not in one.variant for one in record_of(tmp_path / "out").attempts)


def test_no_command_replaces_the_result_of_another(folder, config, tiny_run, refused):
    for command in ("run", "sweep", "sensitivity"):
        said = refused(command, config, "--out", folder)
        assert "holds a search" in said
        assert "choose another --out" in said
    assert (folder / "search.json").exists()
    assert (folder / "report.json").exists()
    assert "holds a run" in refused("search", config, "--out", tiny_run)
    assert (tiny_run / "report.json").exists()
