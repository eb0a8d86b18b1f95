import importlib.machinery
import importlib.util
import subprocess
import sys

import pytest
import torch

from edgecheck.lab import torchvision_cure

pytest.importorskip("torchvision")


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_a_fresh_process_can_build_a_torchvision_model() -> None:
    done = run("import edgecheck.lab, torchvision; print(torchvision.models.resnet18().fc.out_features)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1000"]
    assert done.stderr == ""


def test_calling_again_changes_nothing() -> None:
    first = torchvision_cure.cure()
    assert torchvision_cure.cure() is first
    assert torchvision_cure._declared("nms")
    assert torchvision_cure._declared("qnms")


def test_a_library_that_loads_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(torchvision_cure, "_declarations", None)
    monkeypatch.setattr(torchvision_cure, "_declared", lambda operator: False)
    monkeypatch.setattr(torch.ops, "load_library", loaded.append)
    assert torchvision_cure.cure() is False
    assert [path.rsplit("/", 1)[-1].split(".")[0] for path in loaded] == ["_C"]


def test_without_torchvision_nothing_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_cure, "_declarations", None)
    monkeypatch.setattr(torchvision_cure, "_declared", lambda operator: False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert torchvision_cure.cure() is False


def test_a_missing_library_counts_as_one_that_cannot_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.machinery.PathFinder, "find_spec", lambda name, path: None)
    assert torchvision_cure._library_loads() is False
