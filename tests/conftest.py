import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with real CIFAR-10 and weights, named by EDGECHECK_DATA; tests that ask for it skip without."""
    named = os.environ.get("EDGECHECK_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("set EDGECHECK_DATA to the folder with cifar10/ and weights/ to run this test")
    return Path(named)
