"""ONNX Runtime keeps no id of the machine, and sends nothing, while edgecheck uses it."""

import os
import subprocess
import sys

import pytest

from tests.device.small_files import write

COUNT = "from edgecheck.device.runtime.ort import Options, start; start(__import__('sys').argv[1], Options())"


@pytest.mark.parametrize(("asked", "kept"), [({}, False), ({"ORT_DISABLE_TELEMETRY": "0"}, None)])
def test_nothing_is_kept_in_the_cache_folder(tmp_path, asked, kept):
    model, cache = write(tmp_path / "a.onnx"), tmp_path / "cache"
    cache.mkdir()
    inherited = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment = {**inherited, "XDG_CACHE_HOME": str(cache), **asked}
    told = "; import os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", COUNT + told, model], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == asked.get("ORT_DISABLE_TELEMETRY", "1")  # what the user set stays
    if kept is False:
        assert list(cache.iterdir()) == []
