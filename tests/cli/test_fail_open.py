"""What must never pass: ways in which a gate could be talked into letting something through."""

import json
import os
import shutil
import sys
from importlib import resources

import numpy as np
import pytest

from edgecheck.errors import ConfigError
from edgecheck.gate.judge import judge
from edgecheck.gate.sentence import parse
from edgecheck.images import ImageSet, save_npz
from edgecheck.records import Criterion, Policy, Variant
from tests.board_files import write_all
from tests.device.small_files import write

pytestmark = pytest.mark.usefixtures("files_in_this_process")
NET = """\
from neighbour import SIGN
from edgecheck.models.digits_cnn import DigitsCNN

class Net(DigitsCNN):
    def forward(self, images):
        return SIGN * super().forward(images)

def build():
    return Net()
"""


# Of the small run only what tells whether a network was measured again.
SHORT = """\
model: {{factory: net.py:build, weights: {weights}}}
data: {{dataset: digits, limit: 60, train_limit: 64}}
explain: {{methods: [grad-cam], pictures: 0}}
variants: [{{criterion: l1, structure: unstructured, rate: 0.2}}]
finetune: {{epochs: 0}}
measure: {{latency_budget_s: 0, rss: false}}
gate: {{criteria: [accuracy >= 0]}}
"""


@pytest.fixture
def own_config(tmp_path):
    """A configuration with a network of one's own."""
    path = tmp_path / "own.yaml"
    path.write_text(SHORT.format(weights=resources.files("edgecheck.models") / "digits_cnn.safetensors"))
    return path


def accuracies(folder):
    readings = json.loads((folder / "report.json").read_text())["readings"]
    return {r["variant"]: r["value"] for r in readings if r["metric"] == "accuracy"}


@pytest.mark.slow
def test_an_edited_network_is_measured_again_whichever_file_was_edited(own_config, tmp_path, edgecheck):
    net, neighbour = tmp_path / "net.py", tmp_path / "neighbour.py"
    net.write_text(NET)
    neighbour.write_text("SIGN = 1\n")

    def measured():
        sys.modules.pop("neighbour", None)  # a new process would read it afresh
        edgecheck("run", own_config, "--out", tmp_path / "run")
        return accuracies(tmp_path / "run")

    first = measured()
    assert len(first) == 3
    assert min(first.values()) > 0.8
    net.write_text(NET.replace("SIGN *", "-SIGN *"))
    assert max(measured().values()) < 0.1
    neighbour.write_text("SIGN = -1\n")
    assert measured() == first


LOAD = "float(np.load(Path(__file__).with_name('sign.npy')))"
READING = """\
import numpy as np
from pathlib import Path
from edgecheck.models.digits_cnn import DigitsCNN

class Net(DigitsCNN):
    sign = {early}

    def forward(self, images):
        return {late} * super().forward(images)

def build():
    return Net()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("early", "late"), [(LOAD, "self.sign"), ("1.0", LOAD)], ids=["factory", "network"])
def test_a_data_file_that_is_read_is_part_of_the_network(own_config, tmp_path, edgecheck, early, late):
    (tmp_path / "net.py").write_text(READING.format(early=early, late=late))
    run = ["run", own_config, "--out", tmp_path / "run"]
    np.save(tmp_path / "sign.npy", 1.0)
    edgecheck(*run)
    assert min(accuracies(tmp_path / "run").values()) > 0.8
    np.save(tmp_path / "sign.npy", -1.0)
    edgecheck(*run)
    assert max(accuracies(tmp_path / "run").values()) < 0.1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("size.bytes <= 1 MB", "size <= 1 MB", "unknown metric 'size'"),
        ("name: tiny", "name: [", "not YAML"),
        ("digits_cnn.safetensors", "nowhere.safetensors", "nowhere.safetensors"),
    ],
)
def test_a_run_that_failed_leaves_no_earlier_verdict(
    tiny_run, tiny_config, tmp_path, refused, edgecheck, old, new, said
):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    broken = tmp_path / "broken.yaml"
    broken.write_text(tiny_config.read_text().replace(old, new))
    assert said in refused("run", broken, "--out", run)
    for command in ("gate", "report"):
        line = refused(command, run)
        assert "did not finish" in line
        assert said in line
    assert not any((run / file).exists() for file in ("report.json", "report.html", "report.md", "junit.xml"))
    assert edgecheck("run", tiny_config, "--out", run)[0] == 0
    assert edgecheck("gate", run)[0] == 0


def test_a_run_of_another_runtime_or_cpu_measures_files_again(tiny_run, tiny_config, tmp_path, edgecheck, monkeypatch):
    from edgecheck import versions
    from edgecheck.device.runtime import environment

    def made_again(run, change):
        folder = shutil.copytree(tiny_run, tmp_path / run)
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.json")}
        with monkeypatch.context() as patch:
            change(patch)
            assert edgecheck("run", tiny_config, "--out", folder)[0] == 0
        return {path.stem for path in folder.glob("*/*.json") if path.stat().st_mtime_ns != before.get(path)}

    def other_runtime(patch):
        known = versions.version
        patch.setattr(versions, "version", lambda name: "0.1" if name == "onnxruntime" else known(name))

    def other_cpu(patch):
        patch.setattr(environment, "cpu_flags", lambda: ["avx2"])

    runs_files = {"trial", "predict", "saturation", "profile", "locate", "anchors"}
    assert made_again("runtime", other_runtime) == {*runs_files, "count"}
    assert made_again("cpu", other_cpu) == runs_files


def test_images_that_took_each_others_place_are_seen(tmp_path, edgecheck):
    """Two test images swapped: names, sizes and dates stay the same."""
    import cv2

    file = write(tmp_path / "rgb.onnx", shape=("N", 3, 8, 8))
    for label in range(4):
        path = tmp_path / "images" / "test" / str(label) / "1.png"
        path.parent.mkdir(parents=True)
        image = np.random.default_rng(label).integers(0, 256, (8, 8, 3), np.uint8)
        path.write_bytes(cv2.imencode(".png", image)[1].tobytes().ljust(512, b"\0"))
        os.utime(path, (1e9, 1e9))
    flags = ["--time-budget", "0", "--gate", "agreement >= 0", "--out", tmp_path / "run", "--format", "json"]
    command = ["check", "--baseline", file, "--candidate", file, "--data", tmp_path / "images", *flags]

    def fingerprint():
        _, out, err = edgecheck(*command)
        assert out, err
        return json.loads(out)["subject"]["data_sha256"]

    before = fingerprint()
    assert fingerprint() == before
    first, second = (tmp_path / "images" / "test" / label / "1.png" for label in "13")
    contents = first.read_bytes(), second.read_bytes()
    for path, content in zip((second, first), contents, strict=True):
        path.write_bytes(content)
        os.utime(path, (1e9, 1e9))
    assert fingerprint() != before


def test_where_the_time_went_is_printed_and_kept(tiny_run, tiny_config, tiny_report, edgecheck, tmp_path):
    _, _, err = edgecheck("run", tiny_config, "--out", shutil.copytree(tiny_run, tmp_path / "run"), "--timings")
    assert "fine-tuning" in err
    assert "all stages" in err
    assert {"make", "explain", "export", "predict", "latency"} <= set(tiny_report["seconds"])
    assert all(seconds >= 0 for seconds in tiny_report["seconds"].values())


def test_a_network_that_ends_the_program_is_no_verdict(tiny_config, tmp_path, refused):
    source = NET.replace("from neighbour import SIGN", "import sys").replace("SIGN * super", "sys.exit(0) or super")
    (tmp_path / "net.py").write_text(source)
    config = tmp_path / "own.yaml"
    config.write_text(tiny_config.read_text().replace("edgecheck:digits_cnn", "net.py:build"))
    assert "SystemExit" in refused("run", config, "--out", tmp_path / "run", code=3)


def test_what_a_factory_prints_stays_out_of_the_result(tiny_run, tmp_path, edgecheck):
    source = NET.replace("from neighbour import SIGN", "SIGN = 1").replace(
        "return Net", "print('hello')\n    return Net"
    )
    (tmp_path / "net.py").write_text(source)
    folder = tiny_run / "baseline"
    twin = ["--candidate-twin", f"{tmp_path}/net.py:build", "--candidate-weights", folder / "weights.safetensors"]
    files = ["--baseline", folder / "model.onnx", "--candidate", folder / "model.onnx", "--data", "digits"]
    code, out, err = edgecheck("check", *files, *twin, "--limit", "20", "--time-budget", "0", "--format", "json")
    assert json.loads(out)["tool"]["name"] == "edgecheck"
    assert "hello" in err
    assert code == 0  # heatmaps come from the files, and the twin computes what its file does


def test_latency_of_another_batch_size_is_no_ratio(tmp_path, edgecheck):
    write_all(tmp_path)
    write(tmp_path / "batch.onnx", shape=(64, 3, 16, 16))
    files = ["--baseline", tmp_path / "batch.onnx", "--candidate", tmp_path / "a.onnx", "--data", tmp_path / "data.npz"]
    code, out, _ = edgecheck(
        "check", *files, "--gate", "latency.ratio <= 0.9", "--time-budget", "0.02", "--format", "json"
    )
    assert code == 1
    assert json.loads(out)["verdicts"][0]["status"] == "MISSING"


def test_a_candidate_with_other_classes_is_refused(tiny_run, tmp_path, refused):
    grey = write(tmp_path / "grey.onnx", shape=("N", 1, 32, 32))
    images = np.zeros((3, 32, 32, 1), np.uint8)
    save_npz(tmp_path / "grey.npz", ImageSet(images, np.zeros(3, np.int64), ("a",)))
    files = ["--baseline", tiny_run / "baseline" / "model.onnx", "--candidate", grey, "--data", tmp_path / "grey.npz"]
    assert "4 classes, the baseline 10" in refused("check", *files, "--time-budget", "0")


def test_root_beside_a_path_is_refused(tmp_path, edgecheck):
    files = ["--baseline", "a.onnx", "--candidate", "b.onnx", "--data", "d.npz", "--root", tmp_path]
    code, _, err = edgecheck("check", *files)
    assert code == 2
    assert "--root" in err


def test_no_policy_lets_through_what_was_never_measured():
    variants = [Variant("baseline", "baseline"), Variant("a", "candidate")]
    lenient = Policy(missing="warn", inconclusive="warn", criteria=[parse("accuracy >= 0"), parse("macs >= 0 warn")])
    assert not judge(lenient, variants, []).passed
    assert not judge(Policy(criteria=[]), variants, []).passed


def test_limits_that_are_no_numbers():
    with pytest.raises(ConfigError, match="too large"):
        parse("size.bytes <= 1e308 GB")
    with pytest.raises(ValueError, match="finite"):
        Criterion("accuracy", ">=", float("inf"))


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace('"limit": 0.5', '"limit": Infinity', 1),
        lambda text: text.replace('"limit": 0.5', '"limit": NaN', 1),
        lambda text: text.replace('"metric": "size.bytes"', '"metric": "size"', 1),
        lambda text: text[:-20],
        lambda text: "[" * 100_000,
    ],
)
def test_a_tampered_report_is_refused(tiny_run, tmp_path, refused, edit):
    (tmp_path / "report.json").write_text(edit((tiny_run / "report.json").read_text()))
    assert "report.json" in refused("gate", tmp_path)


def test_a_policy_without_criteria_does_not_pass(tiny_run, tmp_path, edgecheck):
    report = json.loads((tiny_run / "report.json").read_text())
    report["policy"]["criteria"] = []
    (tmp_path / "report.json").write_text(json.dumps(report))
    for form in ("terminal", "json", "markdown", "junit"):
        assert edgecheck("gate", tmp_path, "--unverified", "--format", form)[0] == 1


def test_report_judges_afresh(tiny_run, tiny_report, tmp_path, edgecheck):
    (tmp_path / "report.json").write_text(json.dumps({**tiny_report, "passed": not tiny_report["passed"]}))
    _, out, _ = edgecheck("report", tmp_path, "--unverified", "--format", "json")
    assert json.loads(out)["passed"] == tiny_report["passed"]


def test_rates_that_look_alike_are_all_made(tiny_config):
    from pathlib import Path

    from edgecheck.config import reader

    text = tiny_config.read_text().replace("rate: 0.2", "rate: [0.201, 0.204, 0.999, 0.2]")
    names = [v.name for v in reader.parse(text, Path("e.yaml"), {}).variants]
    assert names[:4] == [
        "l1-unstructured-0.201",
        "l1-unstructured-0.204",
        "l1-unstructured-0.999",
        "l1-unstructured-0.20",
    ]
