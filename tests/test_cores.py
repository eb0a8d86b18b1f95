"""How many cores a container leaves: a quota below the machine's cores counts, rounded up; no quota changes nothing."""

import os

import pytest

from edgecheck import cores


@pytest.mark.parametrize(("written", "expected"), [("50000 100000", 1), ("150000 100000", 2), ("250000 100000", 3)])
def test_quota_of_the_container(monkeypatch, tmp_path, written, expected):
    (tmp_path / "cpu.max").write_text(written)
    monkeypatch.setattr(cores, "CPU_MAX", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert cores.usable_cores() == expected


@pytest.mark.parametrize("written", ["max 100000", "", "nonsense", "100000 0", "900000 100000"])
def test_affinity_where_no_quota_says_less(monkeypatch, tmp_path, written):
    (tmp_path / "cpu.max").write_text(written)
    monkeypatch.setattr(cores, "CPU_MAX", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert cores.usable_cores() == 3


def test_without_control_groups_or_affinity(monkeypatch, tmp_path):
    monkeypatch.setattr(cores, "CPU_MAX", tmp_path / "nowhere")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert cores.usable_cores() == 1
