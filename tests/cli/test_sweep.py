"""`edgecheck sweep` on real digits with the committed network: files, resuming, reuse, refusals."""

import contextlib
import csv
import json
import re
import shlex
import shutil
from io import StringIO
from xml.etree import ElementTree

import cv2
import pytest

from edgecheck.cli import cli, main
from edgecheck.config import reader as reader
from edgecheck.errors import MeasurementError
from edgecheck.pipeline import sweep as sweeping
from tests.cli.conftest import TINY

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("files_in_this_process")]

OPTIONS = [
    *("--criterion", "l1,random", "--structure", "filters", "--rate", "0.25,0.5"),
    *("--quantization", "none,int8", "--controls", "2"),
]
FLOATS = [f"{criterion}-filters-{rate}" for criterion in ("l1", "random") for rate in ("0.25", "0.50")]
NAMES = [f"{name}{ending}" for name in FLOATS for ending in ("", "-int8")]
PAPERS = [f"{criterion}-unstructured-{rate}0" for criterion in ("l1", "random") for rate in (0.2, 0.4, 0.6, 0.8)]


@pytest.fixture(scope="module")
def config(tmp_path_factory, tiny_config):
    """The tiny configuration without variants, and with the usual heatmaps."""
    text = TINY.format(weights=tiny_config.read_text().split("weights: ")[1].splitlines()[0])
    head, rest = text.split("variants:")[0], "finetune:" + text.split("finetune:")[1]
    path = tmp_path_factory.mktemp("sweep") / "edgecheck.yaml"
    path.write_text(
        head.replace(", layer-cam, xgrad-cam, hires-cam, score-cam, recipro-cam", "")
        + rest
        + "quantize: {images: 32}\n"
    )
    return path


@pytest.fixture(scope="module")
def swept(config):
    """The run folder of a sweep."""
    folder = config.parent / "swept"
    said = StringIO()
    with pytest.raises(SystemExit) as stop, contextlib.redirect_stderr(said):
        main(["sweep", str(config), *OPTIONS, "--image", "3", "--out", str(folder)])
    assert not stop.value.code
    assert "were reused" not in said.getvalue()  # what one sweep asks for twice was not there before
    return folder


@pytest.fixture
def untrained(monkeypatch):
    """Make training an error."""
    from edgecheck.lab import train

    def refuse(*_arguments, **_options):
        raise AssertionError("trained again")

    monkeypatch.setattr(train, "train", refuse)


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


def names_of(folder):
    return [variant["name"] for variant in report_of(folder)["variants"]]


def test_it_leaves_what_it_promises(swept):
    for file in ("sweep.html", "sweep.md", "sweep.csv", "report.html", "report.json", "report.md", "junit.xml"):
        assert (swept / file).stat().st_size > 0
    assert names_of(swept) == ["baseline", "control", "control-seed1", *NAMES]
    figures = sorted(path.name for path in (swept / "figures").iterdir())
    assert figures == sorted(
        ["pareto-accuracy.svg", "pareto-sp2ps.svg"]
        + [f"drop-{method}.svg" for method in ("ablation-cam", "grad-cam", "grad-cam-plusplus")]
        + [f"rate-{way}-filters-layer{ending}.svg" for way in ("l1", "random") for ending in ("", "-int8")]
    )
    for path in (swept / "figures").iterdir():
        ElementTree.parse(path)
    assert not [path for path in swept.rglob("*") if path.name.startswith(".")]


def test_heatmaps_show_image_baseline_control_and_each_rate(swept):
    files = sorted(path.name for path in (swept / "heatmaps").iterdir())
    assert files == [f"{method}-image-00003.png" for method in ("ablation-cam", "grad-cam", "grad-cam-plusplus")]
    shape = cv2.imread(str(swept / "heatmaps" / files[0])).shape
    assert shape == (2 * (44 + 160), 5 * 168, 3)


def test_the_pages_name_their_pictures(swept):
    markdown = (swept / "sweep.md").read_text()
    for file in re.findall(r"\]\(([^)]+)\)", markdown):
        assert (swept / file).is_file(), file
    html = (swept / "sweep.html").read_text()
    assert html.count("data:image/png") == 3
    assert html.count("<svg") == 9
    assert "1 epoch of the first 96 training images" in html


def test_the_table_holds_what_the_report_holds(swept):
    with open(swept / "sweep.csv", newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert list(rows) == names_of(swept)
    for reading in report_of(swept)["readings"]:
        cell = rows[reading["variant"]].get(reading["metric"], "")
        assert (float(cell) if cell else None) == reading["value"]


def test_the_command_on_the_page_can_be_typed(swept, config):
    command = re.search(r"```sh\n(.*)\n```", (swept / "sweep.md").read_text())[1]
    words = shlex.split(command)
    assert words[:3] == ["edgecheck", "sweep", config.name]
    context = cli.commands["sweep"].make_context("sweep", [str(config), *words[3:]])
    asked = cli.commands["sweep"].make_context("sweep", [str(config), *OPTIONS, "--image", "3"])
    assert context.params == asked.params


def test_a_second_sweep_keeps_all_and_takes_away_what_no_longer_holds(swept, config, edgecheck, untrained):
    before, page = report_of(swept), (swept / "sweep.csv").read_text()
    stages = len([path for path in swept.glob("*/*.json") if path.name != "twin.json"]) + 2
    (swept / "figures" / "rate-of-an-earlier-sweep.svg").write_text("")

    code, _, err = edgecheck("sweep", config, *OPTIONS, "--image", "3", "--out", swept)

    assert code == 0
    assert f"{stages} finished stages were reused" in err
    assert (report_of(swept), (swept / "sweep.csv").read_text()) == (before, page)
    assert not (swept / "figures" / "rate-of-an-earlier-sweep.svg").exists()


def test_a_sweep_that_prunes_nothing_has_no_heatmaps_over_the_rate(swept, config, edgecheck, tmp_path, untrained):
    run = tmp_path / "run"
    code, _, err = edgecheck("sweep", config, "--quantization", "int8", "--reuse", swept, "--out", run)
    assert code == 0, err
    assert names_of(run) == ["baseline", "control", "baseline-int8"]
    assert not list((run / "heatmaps").iterdir())
    assert "over the pruning rate" not in (run / "sweep.md").read_text()


def test_what_was_trained_elsewhere_is_not_trained_again(swept, config, edgecheck, untrained, tmp_path):
    old = shutil.copytree(swept, tmp_path / "old")
    for name in FLOATS:
        (old / name).rename(old / f"once-called-{name}")
    other = tmp_path / "other.yaml"
    sections = re.split(r"(?m)^(?=\w)", config.read_text())
    other.write_text("".join(reversed([part for part in sections if part])))
    backwards = ["--rate", "0.5,0.25", "--criterion", "random,l1", "--quantization", "none,int8"]

    new = tmp_path / "new"
    code, _, err = edgecheck(
        "sweep", other, *backwards, "--structure", "filters", "--controls", 2, "--reuse", old, "--out", new
    )

    assert code == 0, err
    assert set(names_of(new)) == set(names_of(swept))
    assert names_of(new)[3] == "random-filters-0.50"
    found, before = report_of(new), report_of(swept)
    clocked = ("latency.", "memory.rss")
    for reading in before["readings"]:
        if not reading["metric"].startswith(clocked):
            assert reading in found["readings"]
    # The pictures go by their new names, and are there.
    for variant in found["variants"]:
        assert all(file.startswith(f"{variant['name']}/") and (new / file).is_file() for file in variant["pictures"])
    assert any(variant["pictures"] for variant in found["variants"])


def test_without_variants_it_is_the_papers_experiment(config, tmp_path, edgecheck, monkeypatch):
    asked = []

    def stop(plan, *_rest):
        asked.append(plan)
        raise MeasurementError("far enough")

    monkeypatch.setattr(sweeping, "run", stop)
    assert reader.load(config).variants == []
    code, _, _ = edgecheck("sweep", config, "--out", tmp_path / "run")
    assert code == 3
    assert [spec.name for spec in asked[0].variants] == PAPERS
    written = tmp_path / "written.yaml"
    written.write_text(
        config.read_text()
        + "variants: [{criterion: [l1, random], structure: [unstructured], rate: [0.2, 0.4, 0.6, 0.8]}]\n"
    )
    assert reader.load(written).variants == asked[0].variants


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--image", "60"], "image 60 is requested, but the test split has 60 images, counted from 0"),
        (["--reuse", "nowhere"], "nowhere: no such folder to reuse"),
        (["--criterion", "l3"], "criterion 'l3'"),
        (["--structure", "rows"], "structure 'rows'"),
        (["--quantization", "int7"], "quantization 'int7'"),
        (["--rate", "1.5"], "a pruning rate lies between 0 and 1, not 1.5"),
        (["--rate", "0"], "the control covers rate 0"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_line(config, tmp_path, refused, options, says):
    usual = {"--criterion": "l1", "--structure": "filters", "--rate": "0.5"} | dict([options])
    words = [word for pair in usual.items() for word in pair]
    out = tmp_path / "run"
    assert says in refused("sweep", config, *words, "--out", out)
    left = [path.name for path in out.rglob("*") if path.is_file()]
    assert set(left) <= {"data.json", "data.npz", "hashes.json", "unfinished.txt"}  # finished, and kept


@pytest.mark.parametrize("word", ["--image=-1", "--controls=0", "--rate=fast", "--steps=0"])
def test_words_that_click_refuses(config, tmp_path, edgecheck, word):
    code, out, err = edgecheck("sweep", config, word, "--out", tmp_path / "run")
    assert (code, out) == (2, "")
    assert err.startswith("edgecheck: Invalid value for")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_made_is_named_and_the_others_are_there(swept, config, tmp_path, edgecheck, monkeypatch):
    from edgecheck.lab import train

    def diverge(*_arguments, **_options):
        raise MeasurementError("the loss is nan")

    monkeypatch.setattr(train, "train", diverge)
    code, _, err = edgecheck(
        *("sweep", config, "--criterion", "l1", "--structure", "filters", "--rate", "0.5,0.75"),
        *("--reuse", swept, "--out", tmp_path / "run"),
    )

    assert code == 3
    assert "could not be made: l1-filters-0.75" in err
    page = (tmp_path / "run" / "sweep.md").read_text()
    assert "l1-filters-0.75: failed: the loss is nan" in page
    assert "Not compared, since a reading is missing: l1-filters-0.75." in page
    assert (tmp_path / "run" / "heatmaps" / "grad-cam-image-00001.png").is_file()  # the first two by default


@pytest.mark.parametrize(
    ("given", "row"),
    [
        ({"criterion": ["fpgm"]}, {"criterion": ["fpgm"], "structure": ["unstructured"], "rate": [0.2, 0.4, 0.6, 0.8]}),
        ({"structure": ["2:4"]}, {"criterion": ["l1", "random"], "structure": ["2:4"]}),
        ({"quantization": ["int8"]}, {"quantization": ["int8"]}),
    ],
)
def test_what_options_do_not_say_is_as_in_the_paper(given, row):
    from edgecheck.cli.sweeping import _overrides

    nothing = dict.fromkeys(
        ["criterion", "structure", "rate", "recipe", "quantization", "steps", "round_to", "controls"]
    )
    assert _overrides(nothing) == {}
    assert _overrides(nothing | given) == {"variants": [row]}
    assert _overrides(nothing | {"controls": 3}) == {"controls": 3}
