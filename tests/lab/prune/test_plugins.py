"""A file outside the package adds a criterion and a structure, which then behave as built-in ones do."""

import importlib.util

import pytest

from edgecheck.config.rows import Row
from edgecheck.config.variants import Settings, expand
from edgecheck.errors import ConfigError
from edgecheck.lab.prune import load_state, save_state
from edgecheck.lab.weights import fingerprint
from edgecheck.pruning.checks import check_step
from edgecheck.pruning.criteria import CRITERIA
from edgecheck.pruning.structures import STRUCTURES
from edgecheck.registry import resolve
from edgecheck.steps import PruneStep
from tests.lab.prune.networks import EXAMPLE, Plain, prune_once, randomized

CRITERION = """
from edgecheck.pruning.criteria import CRITERIA, Importance
from edgecheck.registry import register


def weights(inputs, weights):
    return {name: -weight.detach().abs() for name, weight in weights.items()}


register(CRITERIA, "large")(Importance("minus the magnitude of a weight", "none", weights=weights))
"""
STRUCTURE = """
import re

from edgecheck.lab.prune.structures.masking import masked
from edgecheck.pruning.structures import STRUCTURES, Structure
from edgecheck.registry import register


def lowest_of_each_filter(state, step, scores, example):
    count = int(step.structure.removeprefix("minus"))
    masks = {}
    for name, score in scores.items():
        flat = score.flatten(1)
        lowest = flat.argsort(dim=1)[:, :count]
        masks[name] = flat.isfinite().scatter(1, lowest, False).reshape(score.shape)
    return masked(state, masks)


def rate(name):
    return 0.25 if re.fullmatch("minus[12]", name) else None


register(STRUCTURES, "minusN")(
    Structure(
        "N weights of each filter are set to zero", "none", "weights", lowest_of_each_filter,
        takes_shares=False, own_rate=rate, example="minus2",
    )
)
"""


@pytest.fixture(autouse=True)
def plugins(tmp_path):
    before = dict(CRITERIA), dict(STRUCTURES)
    for number, source in enumerate((CRITERION, STRUCTURE)):
        file = tmp_path / f"plugin{number}.py"
        file.write_text(source)
        spec = importlib.util.spec_from_file_location(file.stem, file)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    yield
    for registry, builtin in zip((CRITERIA, STRUCTURES), before, strict=True):
        for name in set(registry) - set(builtin):
            del registry[name]


def test_they_take_part(tmp_path):
    model = randomized(Plain())
    step = PruneStep("large", "minus2", "layer", 0.25)
    state = prune_once(model, step, EXAMPLE, 0)
    for name, mask in state.masks.items():
        assert ((~mask).flatten(1).sum(1) == 2).all()
        magnitudes = model.get_parameter(name).detach().abs()
        assert not mask.flatten(1).gather(1, magnitudes.flatten(1).argsort(1, descending=True)[:, :2]).any()
    save_state(state, tmp_path / "state.safetensors")
    loaded = load_state(tmp_path / "state.safetensors", model, EXAMPLE)
    assert fingerprint(loaded.model.state_dict()) == fingerprint(state.model.state_dict())


def test_a_configuration_takes_them():
    (spec,) = expand([Row(criterion=["large"], structure=["minus1"])], Settings())
    assert (spec.name, spec.pruning) == ("large-minus1", PruneStep("large", "minus1", "layer", 0.25))


def test_what_they_declare_is_checked():
    with pytest.raises(ConfigError, match="criterion large cannot rank filters; structure filters takes random"):
        check_step(PruneStep("large", "filters", "layer", 0.5))
    with pytest.raises(ConfigError, match="minus1 has no rates between"):
        check_step(PruneStep("large", "minus1", "layer", 0.25, share=0.5))
    with pytest.raises(ConfigError, match="unknown structure 'minus3', did you mean 'minus2'"):
        check_step(PruneStep("large", "minus3", "layer", 0.25))


def test_every_function_that_the_tables_name_is_there():
    functions = [f for c in CRITERIA.values() for f in (c.weights, c.filters, c.unfit) if f]
    functions += [structure.prune for structure in STRUCTURES.values()]
    assert all(callable(resolve(function)) for function in functions)
    assert all(entry.meaning and entry.source for entry in (*CRITERIA.values(), *STRUCTURES.values()))
