"""Every data set has a preset, and its numbers are what its comments say."""

from pathlib import Path

import numpy as np
import pytest
from attrs import evolve

from edgecheck.config import reader
from edgecheck.config.plan import DataSpec, Preprocessing
from edgecheck.images import preprocess
from edgecheck.lab import data
from edgecheck.progress import Silent


@pytest.mark.parametrize("dataset", data.LOADERS)
def test_every_loader_has_a_preset_that_names_it(dataset):
    assert reader.preset(dataset)["data"]["dataset"] == dataset


@pytest.mark.parametrize("dataset", data.LOADERS)
def test_every_preset_makes_a_plan(dataset, tmp_path):
    plan = reader.parse(f"data: {{dataset: {dataset}}}", tmp_path / "edgecheck.yaml", {})
    assert len(plan.preprocessing.mean) == len(plan.preprocessing.std)
    assert all(deviation > 0 for deviation in plan.preprocessing.std)


@pytest.mark.parametrize("dataset", [name for name in data.LOADERS if name != "digits"])
def test_one_data_set_has_one_default_normalization_however_it_is_loaded(dataset, tmp_path):
    plan = reader.parse(f"data: {{dataset: {dataset}}}", tmp_path / "edgecheck.yaml", {})
    assert evolve(plan.preprocessing, size=None) == Preprocessing()
    assert plan.normalization_assumed


@pytest.mark.parametrize("dataset", data.LOADERS)
def test_every_gate_asks_for_the_papers_thresholds_and_for_evidence(dataset):
    policy = reader.parse(f"data: {{dataset: {dataset}}}", Path("edgecheck.yaml"), {}).policy
    asked = {criterion.metric: (criterion.op, criterion.limit) for criterion in policy.criteria}
    assert asked == {
        "sp2ps.grad-cam": (">=", 0.95),
        "sp2ps.ablation-cam": (">=", 0.90),
        "cam.degenerate_share": ("<=", 0.05),
        "accuracy_drop_pp": ("<=", 2),
        "parity.max_abs": ("<=", 0.001),
        "parity.agreement": (">=", 0.999),
    }
    assert policy.require == "all"


def test_digits_are_standardised_by_their_training_split():
    how = reader.preset("digits")["preprocessing"]
    plain = Preprocessing(size=tuple(how["size"]))
    pixels = preprocess(data.load(DataSpec("digits"), plain, "train", Silent()).images[:], plain)
    assert np.isclose(pixels.mean(), how["mean"][0], atol=5e-5)
    assert np.isclose(pixels.std(), how["std"][0], atol=5e-5)
