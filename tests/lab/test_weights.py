"""Weights go into a file and come back; what is unsafe, unfit or broken is refused by name."""

import os
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from edgecheck.errors import ModelError
from edgecheck.lab.weights import fingerprint, load_weights, save_weights, snapshot


def network(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Linear(width, 2))


def refusal(path: Path, model: nn.Module | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        load_weights(model or network(), path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def test_what_is_saved_is_loaded(tmp_path):
    first, second = network(), network()
    assert fingerprint(first.state_dict()) != fingerprint(second.state_dict())
    save_weights(first, tmp_path / "w.safetensors")
    load_weights(second, tmp_path / "w.safetensors")
    assert fingerprint(first.state_dict()) == fingerprint(second.state_dict())


def test_equal_weights_give_equal_bytes_that_others_may_read(tmp_path):
    model = network()
    for name in ("a", "b"):
        save_weights(model, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    (tmp_path / "plain").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert torch.equal(safetensors.torch.load_file(tmp_path / "a")["0.weight"], model[0].weight)


def test_tied_weights_and_other_orders_of_axes_are_saved(tmp_path):
    model = nn.ModuleList([nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False), nn.Conv2d(2, 2, 3)])
    model[1].weight = model[0].weight
    model.to(memory_format=torch.channels_last)
    save_weights(model, tmp_path / "w.safetensors")
    assert torch.equal(safetensors.torch.load_file(tmp_path / "w.safetensors")["2.weight"], model[2].weight)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".th"])
@pytest.mark.parametrize("nesting", ["{}", "state_dict", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_reads_pytorch_files_as_training_scripts_write_them(tmp_path, suffix, nesting, prefix):
    first, second = network(), network()
    state = {prefix + name: value for name, value in first.state_dict().items()}
    content = state if nesting == "{}" else {"epoch": 3, nesting: state, "best": 0.5}
    torch.save(content, tmp_path / f"w{suffix}")
    load_weights(second, tmp_path / f"w{suffix}")
    assert fingerprint(first.state_dict()) == fingerprint(second.state_dict())


class Versioned(nn.Linear):
    """Its weight was kept the other way round in version 1, and no version at all is an error, as in MNASNet."""

    _version = 2

    def __init__(self):
        super().__init__(2, 2)

    def _load_from_state_dict(self, state, prefix, metadata, *rest):
        if metadata.get("version") == 1:
            state[f"{prefix}weight"] = state[f"{prefix}weight"].T
        elif metadata.get("version") != 2:
            raise ValueError("version should be 1 or 2")
        super()._load_from_state_dict(state, prefix, metadata, *rest)


def test_weights_of_another_version_of_a_module_are_loaded_by_its_own_rule(tmp_path):
    old, new = Versioned(), Versioned()
    old._version = 1
    torch.save(old.state_dict(), tmp_path / "old.pt")
    torch.save({"state_dict": nn.DataParallel(old).state_dict()}, tmp_path / "parallel.pt")
    for name in ("old.pt", "parallel.pt"):
        load_weights(new, tmp_path / name)
        assert torch.equal(new.weight, old.weight.T)
        new = Versioned()


def test_versions_survive_our_own_files_and_snapshots(tmp_path):
    first, second, third = Versioned(), Versioned(), Versioned()
    first._version = 1
    save_weights(first, tmp_path / "w.safetensors")
    load_weights(second, tmp_path / "w.safetensors")
    third.load_state_dict(snapshot(first))
    assert torch.equal(second.weight, first.weight.T)
    assert torch.equal(third.weight, first.weight.T)


def test_a_version_that_a_module_does_not_know_is_one_line(tmp_path):
    newer = Versioned()
    newer._version = 3
    save_weights(newer, tmp_path / "w.safetensors")
    assert "cannot be loaded (version should be 1 or 2)" in refusal(tmp_path / "w.safetensors", Versioned())


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_files_without_versions_are_of_the_current_one(tmp_path, name):
    first, second = Versioned(), Versioned()
    save = torch.save if name.endswith(".pt") else safetensors.torch.save_file
    save(dict(first.state_dict()), tmp_path / name)
    load_weights(second, tmp_path / name)
    assert torch.equal(second.weight, first.weight)


@pytest.mark.parametrize("versions", ["{", "[1]", '{"": "two"}', "[" * 100_000], ids=["json", "list", "text", "deep"])
def test_versions_that_are_none_are_refused(tmp_path, versions):
    safetensors.torch.save_file(network().state_dict(), tmp_path / "w.safetensors", {"module_versions": versions})
    assert "not a readable .safetensors file" in refusal(tmp_path / "w.safetensors")


def test_half_precision_is_widened(tmp_path):
    model = network()
    torch.save(network().half().state_dict(), tmp_path / "w.pt")
    load_weights(model, tmp_path / "w.pt")
    assert model[0].weight.dtype == torch.float32


def test_files_from_before_batchnorm_counted_are_read(tmp_path):
    model = network()
    torch.save({k: v for k, v in model.state_dict().items() if "num_batches" not in k}, tmp_path / "w.pt")
    load_weights(model, tmp_path / "w.pt")


class Runs:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_code_in_a_file_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"0.weight": Runs()}, tmp_path / "torch.pt")
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps(Runs(), protocol=2))
    torch.save(network(), tmp_path / "whole.pt")
    for name in ("torch.pt", "pickle.pth", "whole.pt"):
        assert "save model.state_dict()" in refusal(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_missing_names_are_listed_up_to_three(tmp_path):
    state = network().state_dict()
    kept = {name: state[name] for name in ("2.weight", "2.bias")}
    safetensors.torch.save_file(kept, tmp_path / "w.safetensors")
    assert refusal(tmp_path / "w.safetensors").endswith("missing: 0.weight, 0.bias, 1.weight and 3 more")


def test_unexpected_names_and_other_shapes_are_listed(tmp_path):
    save_weights(network(4), tmp_path / "w.safetensors")
    state = network().state_dict() | {"head.bias": torch.zeros(1)}
    torch.save(state, tmp_path / "w.pt")
    assert "0.weight is (4, 1, 3, 3), the network's is (3, 1, 3, 3)" in refusal(tmp_path / "w.safetensors")
    assert refusal(tmp_path / "w.pt").endswith("unexpected: head.bias")


def test_a_refused_file_leaves_the_model_as_it_was(tmp_path):
    model = network()
    before = fingerprint(model.state_dict())
    torch.save(network().state_dict() | {"head.bias": torch.zeros(1)}, tmp_path / "w.pt")
    refusal(tmp_path / "w.pt", model)
    assert fingerprint(model.state_dict()) == before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(tmp_path, value):
    model = network()
    with torch.no_grad():
        model[2].bias[1] = value
    save_weights(model, tmp_path / "w.safetensors")
    assert "NaN or infinite: 2.bias" in refusal(tmp_path / "w.safetensors")


def test_files_that_are_not_weights(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"not safetensors")
    (tmp_path / "w.pt").write_bytes(b"not a zip file")
    (tmp_path / "empty.pt").touch()
    (tmp_path / "w.onnx").touch()
    torch.save([1, 2, 3], tmp_path / "list.pt")
    torch.save({"epoch": 3}, tmp_path / "other.pt")
    assert "not a readable .safetensors file" in refusal(tmp_path / "w.safetensors")
    assert "broken, or not made of plain tensors" in refusal(tmp_path / "w.pt")
    assert "broken" in refusal(tmp_path / "empty.pt")
    assert "weights must be .safetensors or .pt, .pth, .th, not .onnx" in refusal(tmp_path / "w.onnx")
    assert "no dictionary of named tensors" in refusal(tmp_path / "list.pt")
    assert "no dictionary of named tensors" in refusal(tmp_path / "other.pt")
    assert "no such file" in refusal(tmp_path / "nowhere.pt")


def test_fingerprint_sees_values_names_and_buffers():
    model = network()
    seen = {fingerprint(model.state_dict())}
    with torch.no_grad():
        model[0].weight[0, 0, 0, 0] += 1
    seen.add(fingerprint(model.state_dict()))
    model[1].running_mean[0] = 1
    seen.add(fingerprint(model.state_dict()))
    seen.add(fingerprint(nn.ModuleDict({"other": model}).state_dict()))
    assert len(seen) == 4
