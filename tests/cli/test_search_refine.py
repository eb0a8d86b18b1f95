"""`edgecheck search --trials`: layers with rates of their own, from the configuration to the page."""

import json
import sys

import pytest

from edgecheck.cli import main
from edgecheck.records import Search, Sensitivity, from_dict
from tests.cli.test_search import text_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("files_in_this_process")]

SPACE = "search: {rate: [0.05, 0.2, 0.4], recipe: preserve, quantization: none}\n"
GATE = "gate: {criteria: [sp2ps.ablation-cam >= 0.8, accuracy_drop_pp <= 10]}\n"


@pytest.fixture(scope="module")
def config(tmp_path_factory, tiny_config):
    path = tmp_path_factory.mktemp("refine") / "edgecheck.yaml"
    path.write_text(text_of(tiny_config, SPACE, GATE))
    return path


@pytest.fixture(scope="module")
def folder(config):
    pytest.importorskip("optuna")
    folder = config.parent / "found"
    with pytest.raises(SystemExit):
        main(["search", str(config), "--trials", "3", "--out", str(folder), "--format", "json"])
    return folder


def record_of(folder):
    return from_dict(json.loads((folder / "search.json").read_text()), Search)


def test_layers_get_rates_of_their_own_in_the_list_of_all_attempts(folder):
    found = record_of(folder)
    refined = [one for one in found.attempts if one.branch.endswith("rates by layer")]
    assert len(refined) == 3
    assert found.attempts[-3:] == refined  # after the bisection
    assert found.branches[-1].label == refined[0].branch
    assert found.branches[-1].variants == 3
    assert found.space == 3 + 3
    for one in refined:
        step = json.loads((folder / "search" / one.variant / "prune-0.json").read_text())["inputs"]["inputs"]["step"]
        assert step["scope"] == "layer"
        assert len(set(step["rates"].values())) > 1


def test_the_variant_found_passes_the_gate_and_is_the_smallest_that_does(folder):
    found = record_of(folder)
    passing = [one for one in found.attempts if one.outcome == "passes"]
    assert passing, "the space has to have a variant that passes"
    assert found.found == min(passing, key=lambda one: one.value).variant
    for one in passing:
        assert {verdict.status for verdict in one.verdicts} == {"PASS"}


def test_the_scan_of_the_layers_lies_beside_the_page(folder):
    scan = from_dict(json.loads((folder / "sensitivity.json").read_text()), Sensitivity)
    assert scan.images == 60
    assert {effect.rate for effect in scan.pruned} == {0.5}
    assert "Pruned alone" in (folder / "sensitivity.html").read_text()
    html = (folder / "search.html").read_text()
    assert ", rates by layer" in html


def test_a_second_search_proposes_the_same_and_makes_nothing_again(folder, config, edgecheck):
    before = record_of(folder)
    _, _, err = edgecheck("search", config, "--trials", "3", "--out", folder)
    assert "exporting" not in err
    assert record_of(folder).attempts == before.attempts


def test_the_report_judges_a_recipe_that_only_the_search_knows(folder, config, tmp_path, edgecheck):
    """Whatever was found: a variant with another recipe has a control with that recipe in the final run."""
    report = json.loads((folder / "report.json").read_text())
    (candidate,) = [one for one in report["variants"] if one["role"] == "candidate"]
    controls = [one["recipe"] for one in report["variants"] if one["role"] == "control"]
    assert candidate["recipe"] in controls
    assert edgecheck("gate", folder)[0] in (0, 1)


@pytest.mark.parametrize(
    ("space", "problem"),
    [
        ("search: {structure: unstructured, quantization: int8}\n", "no structure of this space gets smaller"),
        ("search: {scope: global, quantization: none}\n", "need scope layer, not global"),
        ("search: {minimize: latency.ratio}\n", "it minimizes size.bytes or macs, not latency.ratio"),
    ],
)
def test_a_refinement_without_hope_is_refused_in_one_line(space, problem, tiny_config, refused, tmp_path):
    pytest.importorskip("optuna")
    path = tmp_path / "edgecheck.yaml"
    path.write_text(text_of(tiny_config, space, GATE))
    assert problem in refused("search", path, "--trials", "2", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_optuna_it_is_refused_before_any_work(config, refused, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    said = refused("search", config, "--trials", "2", "--out", tmp_path / "out")
    assert "run: pip install 'edgecheck[search]'" in said
    assert not (tmp_path / "out").exists()
