"""`explain.engine: grad-cam` in a whole run: the same scores as ours, behind a ReLU."""

import json
import re
import shutil

import pytest

METHODS = ["grad-cam", "ablation-cam"]  # all are compared one by one in tests/lab/cam/test_reference.py


def test_a_run_with_the_packages_heatmaps_scores_the_same(tiny_run, tiny_config, tiny_report, tmp_path, edgecheck):
    folder, config = tmp_path / "run", tmp_path / "edgecheck.yaml"
    shutil.copytree(tiny_run, folder)  # all but the heatmaps is finished there
    text = tiny_config.read_text()
    every = re.search(r"methods: \[.*\]", text)[0]
    config.write_text(text.replace(every, f"methods: [{', '.join(METHODS)}]\n  engine: grad-cam"))
    code, out, err = edgecheck("run", config, "--out", folder, "--format", "json")
    assert code == 0, err
    assert json.loads((folder / "control" / "explain.json").read_text())["inputs"]["inputs"]["engine"] == "grad-cam"
    scores = {f"sp2ps.{method}" for method in METHODS}
    ours, theirs = (
        {(r["variant"], r["metric"]): r["value"] for r in report["readings"] if r["metric"] in scores}
        for report in (tiny_report, json.loads(out))
    )
    assert len(ours) == 3 * len(METHODS)
    assert theirs == pytest.approx(ours, abs=1e-3)
