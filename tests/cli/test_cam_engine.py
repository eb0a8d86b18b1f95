"""`explain.engine: grad-cam` in a whole run: the same scores as ours, behind a ReLU."""

import json
import shutil

import pytest

from edgecheck.attribution.table import METHODS


def test_a_run_with_the_packages_heatmaps_scores_the_same(tiny_run, tiny_config, tiny_report, tmp_path, edgecheck):
    folder, config = tmp_path / "run", tmp_path / "edgecheck.yaml"
    shutil.copytree(tiny_run, folder)  # all but the heatmaps is finished there
    config.write_text(tiny_config.read_text().replace("explain:\n", "explain:\n  engine: grad-cam\n"))
    code, out, err = edgecheck("run", config, "--out", folder, "--format", "json")
    assert code == 0, err
    assert json.loads((folder / "control" / "explain.json").read_text())["inputs"]["inputs"]["engine"] == "grad-cam"
    ours, theirs = (
        {(r["variant"], r["metric"]): r["value"] for r in report["readings"] if r["metric"].startswith("sp2ps.")}
        for report in (tiny_report, json.loads(out))
    )
    assert len(ours) == 3 * (len(METHODS) - 1)  # the package has no ReciproCAM
    assert theirs == pytest.approx(ours, abs=1e-3)
