"""From a run to a device and back: bundle, device run, selftest, merge."""

import fcntl
import json
import os
import re
import shutil
import zipfile

import attrs
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgecheck.cli import main
from edgecheck.device.bundle import result as results
from edgecheck.hashing import digest
from edgecheck.pipeline.store import Store
from edgecheck.plugins import load
from edgecheck.records import SCHEMA_VERSION
from edgecheck.records.checks import device_name_of
from tests.device.bundle import small_run
from tests.plugged import no_plugins_yet


@pytest.fixture(scope="session")
def result_of_pi4(packed, tmp_path_factory):
    """The result of the bundle on a device called pi4; not to be changed."""
    out = tmp_path_factory.mktemp("pi4") / "pi4.json"
    with pytest.raises(SystemExit) as stop:
        main(["device", "run", str(packed), "-o", str(out), "--name", "pi4"])
    assert not stop.value.code
    return out


@pytest.fixture
def pi4(result_of_pi4, tmp_path):
    """A copy of it."""
    return shutil.copyfile(result_of_pi4, tmp_path / "pi4.json")


@pytest.fixture
def measured(packed, tmp_path, edgecheck):
    """Measure a bundle under a name; return the result."""

    def run(name, bundle=packed):
        out = tmp_path / f"{name}.json"
        code, _, err = edgecheck("device", "run", bundle, "-o", out, "--name", name)
        assert code == 0, err
        assert not out.with_name(f"{out.name}.unfinished").exists()
        return out

    return run


def value(report, variant, metric, device):
    return next(r for r in report["readings"] if (r["variant"], r["metric"], r["device"]) == (variant, metric, device))


def test_a_device_is_judged_beside_the_host(run_folder, pi4, edgecheck):
    code, out, _ = edgecheck("merge", run_folder, pi4, "--format", "json")
    report = json.loads(out)
    host = json.loads((run_folder / "report.json").read_text())
    assert host["readings"] == report["readings"]
    assert code == edgecheck("gate", run_folder)[0]
    for metric in ("accuracy", "agreement", "sp2ps.grad-cam", "latency.p50_s", "latency.cold_s", "memory.rss_bytes"):
        assert value(report, "candidate", metric, "pi4")["value"] is not None, metric
    # One machine: the outputs are those that the bundle holds, bit for bit.
    assert value(report, "candidate", "parity.max_abs", "pi4")["value"] == 0
    assert value(report, "candidate", "parity.agreement", "pi4")["value"] == 1
    assert value(report, "candidate", "sp2ps.grad-cam", "pi4")["source"] == "artefact"
    assert value(report, "candidate", "accuracy", "pi4")["n"] == 20
    there = {one["method"]: one for one in report["anchors"] if one["device"] == "pi4"}
    chance = there["grad-cam"]["chance"]
    assert (chance["n"], there["grad-cam"]["head"]["reason"]) == (20, "measured on the host alone")
    score, corrected = (
        value(report, "candidate", f"{family}.grad-cam", "pi4")["value"] for family in ("sp2ps", "sp2ps_corrected")
    )
    assert corrected == pytest.approx((score - chance["value"]) / (1 - chance["value"]))
    assert [one for one in report["anchors"] if one["device"] == "host"] == host["anchors"][: len(there)]
    assert report["environments"]["pi4"]["cpu"] == report["environment"]["cpu"]
    assert report["devices"]["pi4"]["images"] == 20
    assert "devices/pi4.json" in report["evidence"]


@pytest.mark.parametrize(
    ("sentence", "code"),
    [
        ("size.bytes@pi4 <= 1 MB", 0),
        ("size.bytes@pi4 <= 1 B", 1),
        ("accuracy@pi4 >= 50 %", 0),
        ("sp2ps.ablation-cam@pi4 >= 0.5", 0),
        ("latency.p50_s@pi4 <= 0.001 us", 1),
        ("size.bytes@pi5 <= 1 MB", 1),
    ],
)
def test_a_criterion_names_the_device(run_folder, pi4, edgecheck, sentence, code):
    edgecheck("merge", run_folder, pi4)
    got, out, _ = edgecheck("gate", run_folder, "--only", "--gate", sentence)
    assert got == code
    named = sentence.split()[0]
    assert re.search(rf"^gate .* @{named.partition('@')[2]} [<>]=", out, re.MULTILINE)
    _, out, _ = edgecheck("gate", run_folder, "--only", "--gate", sentence, "--format", "junit")
    assert named in out
    _, out, _ = edgecheck("gate", run_folder, "--only", "--gate", sentence, "--format", "markdown")
    assert named in out.replace("@<!-- -->", "@").replace("\\", "")


def test_several_devices_and_external_figures(run_folder, measured, edgecheck, tmp_path, pi4):
    table = tmp_path / "trt.csv"
    table.write_text("variant,metric,value\ncandidate,latency.p50_s,2.4 ms\ncandidate,accuracy,91.7 %\n")
    words = [pi4, measured("pi5"), "--csv", table, "--device", "trt"]
    _, out, _ = edgecheck("merge", run_folder, *words, "--format", "markdown")
    shown = out.replace("@<!-- -->", "@")
    assert all(name in shown for name in ("@pi4", "@pi5", "@trt (external)", "2.40 ms"))
    for form in ("markdown", "junit"):
        _, out, _ = edgecheck("gate", run_folder, "--gate", "latency.p50_s@trt <= 1 ms", "--format", form)
        assert "external" in out
    assert "@trt (external)" in (run_folder / "report.html").read_text()
    report = json.loads((run_folder / "report.json").read_text())
    assert report["devices"]["trt"]["external"] == "trt.csv"
    assert value(report, "candidate", "latency.p50_s", "trt")["value"] == pytest.approx(0.0024)


def test_a_device_is_merged_once_unless_it_is_replaced(run_folder, pi4, edgecheck, refused, tmp_path):
    one = pi4
    edgecheck("merge", run_folder, one)
    before = (run_folder / "report.json").read_bytes()
    assert "already has readings of 'pi4'; add --replace" in refused("merge", run_folder, one)
    assert "both are of the device 'pi4'" in refused("merge", run_folder, one, one, "--replace")
    table = tmp_path / "t.csv"
    table.write_text("variant,metric,value\ncandidate,accuracy,90 %\n")
    assert "already has readings" in refused("merge", run_folder, "--csv", table, "--device", "pi4")
    assert (run_folder / "report.json").read_bytes() == before
    assert edgecheck("merge", run_folder, one, "--replace")[0] in (0, 1)
    assert json.loads((run_folder / "report.json").read_text())["readings"] == json.loads(before)["readings"]


def sealed(text, **changed):
    """Change fields of a result as somebody could who knows its format."""
    data = {**json.loads(text), **changed}
    del data["seal"]
    return json.dumps({**data, "seal": digest(data)})


def renamed(path, name):
    """Return a copy of a result under the name of another device."""
    other = shutil.copyfile(path, path.with_name(f"{name}-copy.json"))
    result = results.read(path)
    own = {part: [attrs.evolve(one, device=name) for one in getattr(result, part)] for part in ("readings", "anchors")}
    return rewritten(other, lambda r: attrs.evolve(r, name=name, **own))


def rerun(path):
    """Return a copy of a result as if it was measured again, a second longer."""
    other = shutil.copyfile(path, path.with_name("again.json"))
    return rewritten(other, lambda r: attrs.evolve(r, run=attrs.evolve(r.run, duration_s=r.run.duration_s + 1)))


def kept_files(run_folder):
    return sorted(path.name for path in (run_folder / "devices").iterdir())


def interrupted(*_, **__):
    raise KeyboardInterrupt


def test_a_merge_that_is_killed_leaves_a_run_that_can_be_judged(run_folder, pi4, edgecheck, monkeypatch):
    """It ends after the results were copied and before the report names them."""
    from edgecheck.pipeline import reporting

    edgecheck("merge", run_folder, pi4)
    again = rerun(pi4)
    with monkeypatch.context() as patch:
        patch.setattr(reporting, "write", interrupted)
        assert edgecheck("merge", run_folder, again, "--replace")[0] == 130
    (run_folder / "devices" / ".edgecheck-tmp-0.json").touch()
    assert edgecheck("gate", run_folder)[0] in (0, 1)
    assert edgecheck("merge", run_folder, again, "--replace")[0] in (0, 1)
    (kept,) = kept_files(run_folder)
    assert (run_folder / "devices" / kept).read_bytes() == again.read_bytes()
    assert edgecheck("merge", run_folder, pi4, "--replace")[0] in (0, 1)
    assert kept_files(run_folder) == ["pi4.json"]
    assert edgecheck("gate", run_folder)[0] in (0, 1)


def test_copies_of_killed_merges_do_not_pile_up(run_folder, pi4, edgecheck, monkeypatch):
    from edgecheck.pipeline import reporting

    edgecheck("merge", run_folder, pi4)
    with monkeypatch.context() as patch:
        patch.setattr(reporting, "write", interrupted)
        edgecheck("merge", run_folder, rerun(pi4), "--replace")
    assert len(kept_files(run_folder)) == 2
    edgecheck("merge", run_folder, renamed(pi4, "pi5"))
    assert kept_files(run_folder) == ["pi4.json", "pi5.json"]


@pytest.mark.parametrize("command", ["bundle", "device run"])
def test_what_a_killed_command_left_beside_its_output_is_removed(run_folder, packed, edgecheck, tmp_path, command):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / ".edgecheck-tmp-0.zip").touch()
    words = ("bundle", run_folder) if command == "bundle" else ("device", "run", packed, "--name", "pi4")
    assert edgecheck(*words, "-o", folder / "made")[0] == 0
    assert [path.name for path in folder.iterdir()] == ["made"]


def test_the_table_of_a_sweep_gets_the_figures_of_devices(run_folder, pi4, edgecheck):
    edgecheck("merge", run_folder, pi4)
    assert not (run_folder / "sweep.csv").exists()
    (run_folder / "sweep.csv").write_text("that of the host\n")
    edgecheck("merge", run_folder, pi4, "--replace")
    assert "latency.p50_s@pi4" in (run_folder / "sweep.csv").read_text().splitlines()[0]


def test_figures_of_another_tool_in_the_place_of_a_result(run_folder, pi4, edgecheck, tmp_path):
    table = tmp_path / "odd name.TXT"
    table.write_bytes(b"variant,metric,value\r\ncandidate,accuracy,90 %\r\n")
    edgecheck("merge", run_folder, pi4)
    edgecheck("merge", run_folder, "--csv", table, "--device", "pi4", "--replace")
    assert kept_files(run_folder) == ["pi4.csv"]
    assert (run_folder / "devices" / "pi4.csv").read_bytes() == table.read_bytes()
    edgecheck("merge", run_folder, pi4, "--replace")
    assert kept_files(run_folder) == ["pi4.json"]
    report = json.loads((run_folder / "report.json").read_text())
    assert [path for path in report["evidence"] if path.startswith("devices/")] == ["devices/pi4.json"]
    assert edgecheck("gate", run_folder)[0] in (0, 1)


def test_devices_whose_names_differ_in_case_only(run_folder, pi4, edgecheck):
    """Where a file system knows no case, one file must not take the place of the other."""
    edgecheck("merge", run_folder, pi4, renamed(pi4, "PI4"))
    upper, lower = kept_files(run_folder)
    assert upper.casefold() != lower.casefold()
    edgecheck("merge", run_folder, renamed(pi4, "PI4"), "--replace")
    assert len(kept_files(run_folder)) == 2
    assert edgecheck("gate", run_folder)[0] in (0, 1)


def test_charts_are_drawn_once(run_folder, pi4, edgecheck, monkeypatch):
    """Devices add no curve; without the kept charts, or with other figures, they are drawn again."""
    from edgecheck.report import charts

    drawn, draw = [], charts.charts
    monkeypatch.setattr(charts, "charts", lambda report: drawn.append(report) or draw(report))

    def page():
        return (run_folder / "report.html").read_text()

    def figures():
        return page().split('<section id="charts">')[1].split("</section>")[0]

    before = figures()
    assert "<svg" in before
    edgecheck("merge", run_folder, pi4)
    assert (len(drawn), figures()) == (0, before)
    assert "@pi4" in page()
    (run_folder / "charts.json").write_text("{")
    edgecheck("merge", run_folder, pi4, "--replace")
    assert (len(drawn), figures()) == (1, before)
    edgecheck("gate", run_folder, "--gate", "accuracy_drop_pp <= 7", "--out", run_folder)
    assert len(drawn) == 2
    edgecheck("merge", run_folder, pi4, "--replace")
    assert len(drawn) == 2
    assert figures() != before  # another limit


def test_two_merges_at_once(run_folder, pi4, refused, monkeypatch):
    from edgecheck import lock

    monkeypatch.setattr(lock, "RELEASE_S", 0)
    handle = os.open(run_folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert f"{run_folder}: in use by another edgecheck process; wait for it or stop it" in refused(
        "merge", run_folder, pi4
    )
    os.close(handle)


def rewritten(path, change):
    """Change a result and seal it again."""
    result = change(results.read(path))
    path.write_text(results.to_text(result))
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: attrs.evolve(r, data_sha256="0" * 64), "the test images differs"),
        (lambda r: attrs.evolve(r, packed_sha256="0" * 64), "the subset of images differs"),
        (lambda r: attrs.evolve(r, images=[10**6]), "the subset of images differs"),
        (lambda r: attrs.evolve(r, preprocessing_sha256="0" * 64), "the preprocessing differs"),
        (lambda r: attrs.evolve(r, variants={**r.variants, "candidate": "0" * 64}), "the file of candidate differs"),
        (lambda r: attrs.evolve(r, variants={**r.variants, "other": "0" * 64}), "the file of other differs"),
        (lambda r: attrs.evolve(r, version=SCHEMA_VERSION + 1), "from a newer edgecheck"),
    ],
)
def test_a_result_of_something_else_is_refused(run_folder, pi4, refused, change, words):
    before = (run_folder / "report.json").read_bytes()
    path = rewritten(pi4, change)
    assert words in refused("merge", run_folder, path)
    assert (run_folder / "report.json").read_bytes() == before
    assert not (run_folder / "devices").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace('"pi4"', '"pi5"', 1), "damaged or edited"),
        (lambda text: text[:-40], "not a readable result"),
        (lambda text: "{}", "not a result"),
        (lambda text: "[1]", "not a result"),
        (lambda text: text.replace(": 0.0", ": NaN", 1), "not a readable result"),
        (lambda text: sealed(text, images=[3, 3]), "images must hold rising places"),
        (lambda text: sealed(text, images=[-1]), "images must hold rising places"),
        (lambda text: sealed(text, variants={"baseline": "no file"}), "variants must hold the SHA-256"),
        (lambda text: sealed(text, name="host"), "name is 'host'"),
        (lambda text: sealed(text, name="../pi4"), "name is '../pi4'"),
        (lambda text: sealed(text, name="x" * 100_000), "a device name has up to 64 letters"),
    ],
)
def test_a_damaged_result_is_refused(run_folder, pi4, refused, change, words):
    path = pi4
    path.write_text(change(path.read_text()))
    said = refused("merge", run_folder, path)
    assert words in said
    assert said.startswith(f"edgecheck: {path}: ")
    assert len(said) < 2000


@pytest.mark.parametrize(
    ("node", "name"),
    [
        ("pi4.local", "pi4.local"),
        ("b\u00fccher-pi", "b-cher-pi"),
        ("\udcff", "device"),
        ("", "device"),
        ("host", "device"),
    ],
)
def test_the_host_name_becomes_a_name_that_criteria_can_use(node, name):
    assert device_name_of(node) == name


def test_bad_words(run_folder, packed, refused, tmp_path):
    assert "nothing to merge" in refused("merge", run_folder)
    assert f"{packed}: not a folder; name a run folder" in refused("bundle", packed, "-o", tmp_path / "c.zip")
    assert "--csv is given 1 times and --device 0 times" in refused("merge", run_folder, "--csv", "t.csv")
    assert "no such file" in refused("merge", run_folder, tmp_path / "none.json")
    assert "is not 'host'" in refused("device", "run", packed, "-o", tmp_path / "r.json", "--name", "host")
    assert "--name -x" in refused("device", "run", packed, "-o", tmp_path / "r.json", "--name", "-x")
    assert "the run has no such file" in refused(
        "bundle", run_folder, "-o", tmp_path / "c.zip", "--variant", "candidat"
    )
    assert "cannot be written" in refused("bundle", run_folder, "-o", tmp_path / "none" / "c.zip")
    assert "NoneExecutionProvider is not in this ONNX Runtime" in refused(
        "device", "run", packed, "-o", tmp_path / "r.json", "--provider", "NoneExecutionProvider"
    )
    assert "--provider: " in refused("device", "selftest", packed, "--provider", "")
    assert not list(tmp_path.glob("r.json*"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the first line must be variant,metric,value"),
        ("variant,metric\n", "the first line must be"),
        ("variant,metric,value\n", "holds no readings"),
        ("variant,metric,value\na,b\n", ":2: 2 cells, not 3"),
        ("variant,metric,value\ncandidate,latency.p50,1 ms\n", ":2: unknown metric 'latency.p50'"),
        ("variant,metric,value\ncandidate,latency.p50_s,12\n", ":2: '12': the number needs a unit"),
        ("variant,metric,value\ncandidate,latency.p50_s,12 MB\n", ":2: '12 MB': 'MB' does not fit latency.p50_s"),
        ("variant,metric,value\ncandidate,accuracy,nan\n", ":2: 'nan' is not a number"),
        ("variant,metric,value\ncandidate,accuracy,1.2.3\n", ":2: '1.2.3' is not a number"),
        ("variant,metric,value\ncandidate,accuracy,1\ncandidate,accuracy,1\n", ":3: accuracy of candidate stands"),
        ("variant,metric,value\nnone,accuracy,1\n", "the run has no variant 'none'"),
        ('variant,metric,value\n"candidate,accuracy,1\n', "not a readable CSV file"),
    ],
)
def test_bad_tables(run_folder, refused, tmp_path, text, words):
    table = tmp_path / "t.csv"
    table.write_text(text)
    assert words in refused("merge", run_folder, "--csv", table, "--device", "trt")


def test_without_images_only_what_needs_none_is_measured(run_folder, measured, edgecheck, tmp_path):
    bundle = tmp_path / "n.zip"
    edgecheck("bundle", run_folder, "-o", bundle, "--no-images", "--time-budget", "0.05")
    real = np.load(run_folder / "data.npz")["images"]
    with zipfile.ZipFile(bundle) as archive:
        assert not [name for name in archive.namelist() if "logits" in name or "golden" in name]
        with archive.open("data.npz") as data, zipfile.ZipFile(data) as arrays, arrays.open("images.npy") as images:
            synthetic = np.lib.format.read_array(images)
    assert not (synthetic[: len(real), None] == real[None]).all(axis=(2, 3, 4)).any()
    edgecheck("merge", run_folder, measured("nas", bundle))
    report = json.loads((run_folder / "report.json").read_text())
    assert value(report, "candidate", "latency.p50_s", "nas")["value"] > 0
    for metric in ("accuracy", "agreement", "parity.max_abs", "calibration.error"):
        reading = value(report, "candidate", metric, "nas")
        assert (reading["value"], reading["note"]) == (None, "the bundle holds no real images (bundle --no-images)")
    assert edgecheck("gate", run_folder, "--only", "--gate", "accuracy@nas >= 1 %")[0] == 1


def test_what_a_plugin_measures_stays_on_the_host(tmp_path, edgecheck, refused):
    """Devices have no plugins: the bundle names neither their metrics nor their methods."""
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from edgecheck.metrics import Metric\n"
        "from edgecheck.score.predictions import register_metric\n"
        "metric = Metric('ones', 'fraction', 'higher', 'share of images in class 1', 'ours')\n"
        "register_metric(metric, lambda taken: float((taken.logits.argmax(axis=1) == 1).mean()))\n"
    )
    folder, out = small_run.write(tmp_path / "small"), tmp_path / "b.zip"
    with no_plugins_yet():
        load([plugin])
        assert edgecheck(*small_run.command(folder, "--gate", "ones >= 0 %"))[0] in (0, 1)
    with no_plugins_yet():
        assert "name its file with --plugin FILE" in refused("bundle", folder / "run", "-o", out)
        assert edgecheck("bundle", folder / "run", "-o", out, "--plugin", plugin)[0] == 0
    result = tmp_path / "r.json"
    assert edgecheck("device", "run", out, "-o", result, "--name", "pi4")[0] == 0
    with no_plugins_yet():
        _, text, _ = edgecheck("merge", folder / "run", result, "--plugin", plugin, "--format", "json")
    report = json.loads(text)
    assert {r["device"] for r in report["readings"] if r["metric"] == "ones"} == {"host"}
    assert value(report, "candidate", "accuracy", "pi4")["value"] is not None


def test_the_commands_that_it_names_can_be_pasted(run_folder, tmp_path, edgecheck):
    _, _, err = edgecheck("bundle", run_folder, "-o", tmp_path / "a b.zip", "--no-images")
    assert "edgecheck device run 'a b.zip' -o result.json" in err


def test_the_selftest_passes_here_and_fails_with_other_weights(packed, edgecheck, refused, tmp_path, run_folder):
    code, out, _ = edgecheck("device", "selftest", packed, "--format", "json")
    told = json.loads(out)
    assert (code, told["passed"]) == (0, True)
    assert [(each["variant"], each["same"], each["images"]) for each in told["variants"]] == [
        ("baseline", 5, 5),
        ("candidate", 5, 5),
    ]
    # A device whose runtime computes something else: as if its weights were those of another file.
    broken = broken_bundle(packed, tmp_path)
    code, out, _ = edgecheck("device", "selftest", broken)
    assert code == 1
    assert "FAIL" in out
    none = tmp_path / "n.zip"
    edgecheck("bundle", run_folder, "-o", none, "--no-images")
    assert f"{none}: no golden images" in refused("device", "selftest", none)


def broken_bundle(packed, tmp_path):
    """Pack the candidate with turned weights, with hashes that fit."""

    def turn(file):
        model = onnx.load(file)
        head = next(tensor for tensor in model.graph.initializer if tensor.name == "head")
        head.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(numpy_helper.to_array(head)[:, ::-1]), "head"))
        onnx.save(model, file)

    return repacked(packed, tmp_path, "variants/001/model.onnx", turn)


def repacked(packed, tmp_path, name, change):
    """Pack a bundle with one file changed, with hashes that fit."""
    from edgecheck.device.bundle import manifest as manifests
    from edgecheck.device.bundle.pack import pack
    from edgecheck.device.bundle.unpack import unpack
    from edgecheck.hashing import sha256

    bundle = unpack(packed, tmp_path / "broken")
    change(bundle.folder / name)
    files = {**bundle.manifest.files, name: sha256(bundle.folder / name)}
    (bundle.folder / manifests.MANIFEST).write_text(manifests.to_text(attrs.evolve(bundle.manifest, files=files)))
    pack(bundle.folder, list(files), tmp_path / "broken.zip")
    return tmp_path / "broken.zip"


def with_arrays(**changed):
    """Return the change of an .npz that replaces arrays; functions are called with the array there."""

    def change(path):
        with np.load(path) as file:
            arrays = dict(file)
        arrays |= {name: new(arrays[name]) if callable(new) else new for name, new in changed.items()}
        np.savez(path, **arrays)

    return change


@pytest.mark.parametrize(
    ("name", "arrays", "words"),
    [
        ("variants/000/golden.npz", {"maps.grad-cam": np.zeros((5, 0, 0), np.float32)}, "maps.grad-cam must be"),
        ("variants/000/golden.npz", {"maps.grad-cam": lambda maps: maps * np.nan}, "not finite answers for 5 images"),
        ("variants/000/golden.npz", {"logits": lambda logits: logits * np.inf}, "not finite answers for 5 images"),
        ("data.npz", {"images": lambda a: a[:3], "labels": lambda a: a[:3]}, "not the images that the bundle names"),
    ],
)
def test_expected_answers_that_are_damaged(packed, refused, tmp_path, name, arrays, words):
    bundle = repacked(packed, tmp_path, name, with_arrays(**arrays))
    said = refused("device", "selftest", bundle)
    assert said.startswith(f"edgecheck: {bundle}/{name}: {words}")


def test_a_device_that_computes_no_numbers_fails_its_selftest(packed, edgecheck, monkeypatch):
    from edgecheck.device.bundle import expected

    outputs = expected.outputs

    def broken(path, *arguments):
        return outputs(path, *arguments) * (np.nan if "001" in str(path) else 1)

    monkeypatch.setattr(expected, "outputs", broken)
    code, out, _ = edgecheck("device", "selftest", packed, "--format", "json")
    baseline, candidate = json.loads(out)["variants"]
    assert (code, baseline["passed"], candidate["reason"]) == (1, True, "outputs that are not finite")


def test_the_selftest_says_why_there_are_no_heatmaps(packed, edgecheck, monkeypatch):
    from edgecheck.device.bundle import expected
    from edgecheck.errors import MeasurementError

    def late(path, *_):
        raise MeasurementError(f"{path}: stopped after 40 s")

    monkeypatch.setattr(expected, "heatmaps", late)
    code, out, _ = edgecheck("device", "selftest", packed, "--format", "json")
    told = json.loads(out)["variants"][0]
    assert (code, told["passed"], told["same"], told["max_abs"]) == (1, False, 5, 0)
    assert told["reason"] == "no heatmaps here: stopped after 40 s"


def test_the_selftest_on_a_full_disk_says_where_else_it_could_unpack(packed, refused, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    assert "free some, or set TMPDIR to a folder on another disk" in refused("device", "selftest", packed)


def test_a_bundle_that_no_device_would_take(run_folder, refused, tmp_path):
    said = refused("bundle", run_folder, "-o", tmp_path / "b.zip", "--time-budget", 80_000)
    assert said == "edgecheck: --time-budget: latency of 2 files, 80000 s each, takes longer than a day; give less"
    assert not (tmp_path / "b.zip").exists()


def test_a_file_that_fails_on_the_device_is_its_own_result(packed, measured, monkeypatch, run_folder, edgecheck):
    from edgecheck.device.runtime import probe
    from edgecheck.errors import MeasurementError

    run = probe.run

    def crashing(path, *arguments):
        if "001" in str(path):
            raise MeasurementError(f"{path}: ONNX Runtime crashed on it (SIGSEGV)")
        return run(path, *arguments)

    monkeypatch.setattr(probe, "run", crashing)
    result = measured("pi4")
    edgecheck("merge", run_folder, result)
    report = json.loads((run_folder / "report.json").read_text())
    assert value(report, "baseline", "latency.p50_s", "pi4")["value"] > 0
    note = value(report, "candidate", "latency.p50_s", "pi4")["note"]
    assert note == "variants/001/model.onnx: ONNX Runtime crashed on it (SIGSEGV)"
    assert "SIGSEGV" in (run_folder / "report.md").read_text()


def test_the_selftest_goes_on_after_a_file_that_crashes(packed, edgecheck, monkeypatch):
    from edgecheck.device.runtime import probe
    from edgecheck.errors import MeasurementError

    run = probe.run

    def crashing(path, *arguments):
        if "000" in str(path):
            raise MeasurementError(f"{path}: ONNX Runtime crashed on it (SIGSEGV)")
        return run(path, *arguments)

    monkeypatch.setattr(probe, "run", crashing)
    code, out, _ = edgecheck("device", "selftest", packed, "--format", "json")
    baseline, candidate = json.loads(out)["variants"]
    assert code == 1
    assert (baseline["passed"], baseline["reason"]) == (False, "ONNX Runtime crashed on it (SIGSEGV)")
    assert candidate["passed"]


def test_a_baseline_that_fails_leaves_the_figures_of_the_others(packed, measured, monkeypatch, run_folder, edgecheck):
    from edgecheck.device.runtime import probe
    from edgecheck.errors import MeasurementError

    run = probe.run

    def crashing(path, *arguments):
        if "000" in str(path):
            raise MeasurementError(f"{path}: it needs more than 2.1 GB of memory")
        return run(path, *arguments)

    monkeypatch.setattr(probe, "run", crashing)
    edgecheck("merge", run_folder, measured("pi4"))
    report = json.loads((run_folder / "report.json").read_text())
    assert value(report, "candidate", "latency.p50_s", "pi4")["value"] > 0
    assert value(report, "candidate", "accuracy", "pi4")["value"] > 0
    for metric in ("latency.ratio", "agreement", "sp2ps.grad-cam"):
        reading = value(report, "candidate", metric, "pi4")
        assert reading["value"] is None
        assert "baseline" in reading["note"]


def test_an_interrupted_measurement_resumes(packed, tmp_path, edgecheck, monkeypatch):
    from edgecheck.pipeline import timing

    def stop(*_):
        raise KeyboardInterrupt

    out, finished = tmp_path / "r.json", []
    with monkeypatch.context() as patch:
        patch.setattr(timing, "time_all", stop)
        code, _, err = edgecheck("device", "run", packed, "-o", out, "--name", "pi4")
    assert code == 130
    assert "the same command resumes" in err
    assert not out.exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "r.json.unfinished").rglob("explain*.json")}
    assert len(kept) == 2
    keep = Store.keep

    def noted(store, work, *rest):
        finished.append(work.stage.kind)
        return keep(store, work, *rest)

    monkeypatch.setattr(Store, "keep", noted)
    assert edgecheck("device", "run", packed, "-o", out, "--name", "pi4")[0] == 0
    assert set(finished) <= {"profile", "latency", "placement", "energy"}


def test_the_bundle_of_a_changed_run_is_refused(run_folder, refused, tmp_path):
    small_run.network(run_folder.parent / "b.onnx", noise=0.5)
    assert "not the file that was measured" in refused("bundle", run_folder, "-o", tmp_path / "c.zip")
    shutil.rmtree(run_folder)
    assert "no such file" in refused("bundle", run_folder, "-o", tmp_path / "c.zip")


def test_a_provider_that_takes_no_node_is_told_and_can_be_gated(packed, run_folder, edgecheck, tmp_path):
    """AzureExecutionProvider is part of the package and runs no node of a classifier: all fall back to the CPU."""
    out = tmp_path / "azure.json"
    words = ["-o", out, "--name", "npu", "--provider", "AzureExecutionProvider"]
    assert edgecheck("device", "run", packed, *words)[0] == 0
    _, text, _ = edgecheck("merge", run_folder, out, "--format", "markdown")
    assert "ran on the CPU although" in text
    report = json.loads((run_folder / "report.json").read_text())
    assert value(report, "candidate", "provider.fallback_share", "npu")["value"] == 1
    assert report["environments"]["npu"]["provider"] == "AzureExecutionProvider"
    assert edgecheck("gate", run_folder, "--only", "--gate", "provider.fallback_share@npu <= 0 %")[0] == 1


def test_a_throttled_board_says_so(packed, run_folder, edgecheck, tmp_path, monkeypatch):
    """The firmware of a Raspberry Pi says that it is throttled now (bit 2)."""
    from edgecheck.device.board.meter import Meter
    from edgecheck.pipeline.stages import latency

    firmware = tmp_path / "sys" / "devices" / "platform" / "soc" / "soc:firmware" / "get_throttled"
    firmware.parent.mkdir(parents=True)
    firmware.write_text("4\n")
    monkeypatch.setattr(latency, "Meter", lambda: Meter(tmp_path))
    out = tmp_path / "r.json"
    assert edgecheck("device", "run", packed, "-o", out, "--name", "pi4")[0] == 0
    _, text, _ = edgecheck("merge", run_folder, out, "--format", "markdown")
    assert "@<!-- -->pi4: the device was throttled while it measured: throttled told by the" in text
    assert json.loads(out.read_text())["run"]["conditions"]["signs"]
