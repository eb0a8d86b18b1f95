"""The pruning stage says why nothing can be pruned."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from edgecheck.artefact import Artefact
from edgecheck.config.plan import ModelSpec
from edgecheck.errors import ModelError
from edgecheck.lab import prune as lab_prune
from edgecheck.pipeline.stage import Desk
from edgecheck.pipeline.stages.network import Before
from edgecheck.pipeline.stages.prune import Prune
from edgecheck.pipeline.subject import Network
from edgecheck.progress import Silent
from edgecheck.pruning.checks import UnprunableError
from edgecheck.records import Diagnostic
from edgecheck.steps import PruneStep


def test_the_reasons_follow_the_refusal(tmp_path, monkeypatch):
    def refuse(*_arguments, **_options):
        notes = [Diagnostic("filters-not-ranked", {"layers": ["conv1"], "criterion": "bn-scale"})]
        raise UnprunableError("no filters of Net can be removed", notes)

    monkeypatch.setattr(lab_prune, "prune", refuse)
    monkeypatch.setattr(Prune, "load", lambda _stage: (None, None))
    save_file({"conv1": np.zeros(2, np.float32)}, tmp_path / "scores.safetensors")
    before = Before(Network({}, 0, ModelSpec("net.py:build")), None, (1, 8, 8), 0, True)
    step = PruneStep("bn-scale", "filters", "layer", 0.5)
    stage = Prune(before, step, Artefact("5c", tmp_path / "scores.safetensors"), [], None)
    said = r"no filters of Net can be removed; the filters of conv1 are not pruned: criterion bn-scale cannot rank them"
    with pytest.raises(ModelError, match=said):
        stage.compute(Desk(tmp_path, tmp_path, Silent()))
