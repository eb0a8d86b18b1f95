"""The table of networks: how it is measured, and the page that is committed."""

import json
import re
from pathlib import Path

from tests.benchmarks import coverage, coverage_cells
from tests.benchmarks.coverage import CELLS, Kept

PAGE = Path(__file__).parent.parent / "models" / "coverage.md"


def row(network, cell, state="yes", figure="", reason=""):
    return {"network": network, "cell": cell, "state": state, "figure": figure, "reason": reason}


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_cell_that_takes_too_long_costs_itself_alone(tmp_path):
    kept = Kept(tmp_path / "cells.jsonl")
    kept.add(row("edgecheck:resnet8", "export", figure="1e-07"))
    coverage.measure("edgecheck:resnet8", kept, 0.01)
    rows = rows_of(tmp_path / "cells.jsonl")
    assert [one["cell"] for one in rows] == list(CELLS)
    assert rows[0]["figure"] == "1e-07"
    assert {one["reason"] for one in rows[1:]} == {"takes longer than 0.01 s"}


def test_a_stopped_run_goes_on(tmp_path, monkeypatch):
    kept = Kept(tmp_path / "cells.jsonl")
    for cell in CELLS:
        kept.add(row("a:b", cell))
    monkeypatch.setattr(coverage, "answered", None)
    coverage.measure("a:b", Kept(kept.path), 1)


def test_a_network_of_ours(tmp_path):
    subject = coverage_cells.network("edgecheck:resnet8", 32, tmp_path)
    measured = {cell: coverage_cells.attempt(subject, cell) for cell in CELLS}
    assert {cell: one.state for cell, one in measured.items()} == dict.fromkeys(CELLS, "yes"), measured


def test_equal_reasons_have_one_number():
    rows = [row(network, cell) for network in ("a", "b") for cell in CELLS[1:]]
    rows += [row("a", "export", "no", reason="no file"), row("b", "export", "part", "1e-03", "no file")]
    page = coverage.page(["a", "b"], rows)
    assert "| a | no [1] | yes |" in page
    assert "| b | partly 1e-03 [1] | yes |" in page
    assert page.endswith("\n1. no file\n")
    assert "for 0 of 2 networks" in page


def test_the_page_gives_a_reason_for_each_failure():
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if re.match(r"\| (timm|torchvision):", line)]
    reasons = re.findall(r"^(\d+)\. .+", PAGE.read_text(), re.MULTILINE)
    assert len(rows) >= 40
    assert all(len(cells) == len(CELLS) + 1 for cells in rows)
    failed = [cell for cells in rows for cell in cells[1:] if not cell.startswith("yes")]
    assert all(re.search(r"\[(\d+)\]", cell)[1] in reasons for cell in failed)
