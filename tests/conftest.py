import functools
import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# One thread, in this process and in those it starts: the same bits everywhere, and no threads that spin for a core
# which another process holds. Must stand before the first import of torch.
os.environ["OMP_NUM_THREADS"] = "1"

# No property fails because the machine was busy.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their markers
def pytest_collection_modifyitems(items):
    """Mark the tests of real data, and have files with slow tests come first.

    None of these is begun when the other processes have nothing left to do.
    """
    for item in items:
        if "data_root" in item.fixturenames:
            item.add_marker("data")
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with real CIFAR-10 and weights, named by EDGECHECK_DATA; tests that ask for it skip without."""
    named = os.environ.get("EDGECHECK_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("set EDGECHECK_DATA to the folder with cifar10/ and weights/ to run this test")
    return Path(named)


@pytest.fixture(scope="session")
def made_run(tmp_path_factory):
    """The run folder of `tests.device.bundle.small_run`; not to be changed."""
    from edgecheck.cli import main
    from tests.device.bundle import small_run

    folder = small_run.write(tmp_path_factory.mktemp("small"))
    with pytest.raises(SystemExit):
        main(small_run.command(folder))
    return folder / "run"


@pytest.fixture
def run_folder(made_run, tmp_path):
    """A copy of that run, with its files."""
    shutil.copytree(made_run.parent, tmp_path / "small")
    return tmp_path / "small" / "run"


@pytest.fixture(scope="session")
def packed(made_run, tmp_path_factory):
    """Its bundle; not to be changed."""
    from edgecheck.pipeline.bundle import Asked, bundle
    from edgecheck.progress import Silent

    out = tmp_path_factory.mktemp("packed") / "b.zip"
    bundle(made_run, out, Asked(images=20, budget_s=0.05), Silent())
    return out


@pytest.fixture(scope="session", autouse=True)
def _torchlib_read_once():
    """Keep the table of ONNX functions that PyTorch parses anew, in half a second, for each file it exports."""
    if "edgecheck.lab.export" not in sys.modules:  # nothing that was collected exports
        yield
        return
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(functools.cache(ONNXRegistry.from_torchlib)))
        yield
