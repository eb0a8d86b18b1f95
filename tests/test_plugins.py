"""Plugins that go wrong: one clear line, and nothing of theirs gets into a result."""

import sys

import numpy as np
import pytest
import torch

from edgecheck import plugins, registry
from edgecheck.attribution.table import Method
from edgecheck.config.rows import Row, with_others
from edgecheck.config.variants import Settings, expand
from edgecheck.errors import ConfigError, ModelError
from edgecheck.lab.prune import score
from edgecheck.metrics import METRICS, Metric
from edgecheck.pipeline.work import Job, Work, compute
from edgecheck.progress import Silent
from edgecheck.pruning.criteria import CRITERIA, Importance
from edgecheck.score.predictions import MEASURES, Predictions, readings
from edgecheck.structuring import json_converter
from tests.lab.prune.networks import EXAMPLE, Plain
from tests.pipeline.toys import Square
from tests.plugged import no_plugins_yet


@pytest.fixture(autouse=True)
def _clean():
    with no_plugins_yet():
        yield


def write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


def load(folder, text, name="plugin.py"):
    (file,) = plugins.load([write(folder, name, text)])
    return file


IMPORTS = "from edgecheck.registry import register\nfrom edgecheck.pruning.criteria import CRITERIA, Importance\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("raise RuntimeError('boom\\nsecond')", "RuntimeError: boom$"),
        ("a b", "SyntaxError: invalid syntax"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        (IMPORTS + "register(CRITERIA, 'l1')(Importance('m', 's'))", "'l1' is registered twice"),
        (IMPORTS + "register(CRITERIA, 'x')(lambda: 1)", "'x' must be of type Importance, not a function"),
        (IMPORTS + "register(CRITERIA, '../x')(Importance('m', 's'))", "'../x' cannot be a name"),
        ("class Bad(Exception):\n    def __str__(self):\n        raise ValueError\nraise Bad", "fails: Bad$"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_one_line(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says) as error:
        load(tmp_path, text)
    assert "plugin.py: importing this plugin fails" in str(error.value)
    assert "\n" not in str(error.value)


def test_declarations_are_checked():
    with pytest.raises(ValueError, match="unknown unit 'furlong'; known: fraction"):
        Metric("speed", "furlong", "higher", "m", "s")
    with pytest.raises(ValueError, match="unknown need 'nonsense'; known: activations"):
        Method("m", "M", {"nonsense"}, "s")


def test_what_an_option_says_cannot_leave_the_run_folder(tmp_path):
    text = "from attrs import frozen\nfrom edgecheck.registry import register\n"
    text += "from edgecheck.steps import STEPS, FileStep\n"
    text += "@register(STEPS, 'mark')\n@frozen\nclass Mark(FileStep):\n    kind = 'mark'\n    word: str = ''\n"
    text += "@register(STEPS, 'odd')\nclass Odd(FileStep):\n    kind = 'odd'\n"
    load(tmp_path, text)

    def names(row):
        written = json_converter().structure(with_others(row), Row)
        return [spec.name for spec in expand([written], Settings())]

    assert names({"mark": {"word": "plain"}}) == ["baseline-mark-plain"]
    hostile, other = names({"mark": {"word": "../x"}}) + names({"mark": {"word": ".._x"}})
    assert "/" not in hostile
    assert hostile != other
    with pytest.raises(ConfigError, match="step odd: a plugin's step is a frozen attrs class"):
        names({"odd": {}})


def test_modules_without_a_file_of_their_own_do_not_count(tmp_path, monkeypatch):
    """`torch.classes` says that its file is `_classes.py`, which would be looked for in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "made_up", raising=False)
    text = "import sys, types\nm = types.ModuleType('made_up')\nm.__file__ = '_m.py'\nsys.modules['made_up'] = m\n"
    assert load(tmp_path, text).path == tmp_path / "plugin.py"


def test_a_module_that_two_plugins_share_counts_for_both(tmp_path, monkeypatch):
    def contents(value):
        monkeypatch.setattr(plugins, "_LOADED", {})
        monkeypatch.setattr(plugins, "_HELPERS", set())
        monkeypatch.delitem(sys.modules, "shared_helper", raising=False)
        write(tmp_path, "shared_helper.py", f"VALUE = {value}\n")
        text = "from shared_helper import VALUE\n"
        return [load(tmp_path, text, name).sha256 for name in ("a.py", "b.py")]

    first, second = contents(1), contents(22)
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_a_stage_whose_plugin_fails_names_its_line(tmp_path):
    file = load(tmp_path, "def fail(*_):\n    raise KeyError('x\\ny')\n")
    module = next(m for m in sys.modules.values() if getattr(m, "__file__", None) == str(file.path))

    class Fails(Square):
        compute = module.fail

    with pytest.raises(ModelError, match=r"square: a plugin fails: KeyError: .* \(plugin.py:2\)$"):
        compute(Job(Work("", Fails(1.0)), tmp_path), Silent())


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        (lambda weights: None, "not NoneType"),
        (lambda weights: {**weights, "nope": torch.zeros(1)}, "a score for each of"),
        (lambda weights: {}, "a score for each of"),
        (lambda weights: dict.fromkeys(weights, torch.zeros(3)), r"not shape \(3,\)"),
        (lambda weights: dict.fromkeys(weights, 1.0), "not float"),
        (lambda weights: {n: w * np.nan for n, w in weights.items()}, "not numbers"),
    ],
)
def test_scores_that_cannot_be_compared_are_refused(scores, says):
    registry.register(CRITERIA, "toy")(Importance("m", "s", weights=lambda inputs, weights: scores(dict(weights))))
    with pytest.raises(ModelError, match=f"criterion toy .*{says}"):
        score(Plain(), "toy", "weights", EXAMPLE, 0)


def test_a_metric_cannot_change_what_others_are_made_from(monkeypatch):
    def cheat(predictions):
        predictions.labels.fill(0)

    monkeypatch.setitem(METRICS, "cheat", Metric("cheat", "count", "higher", "m", "s"))
    monkeypatch.setitem(MEASURES, "cheat", cheat)
    labels = np.arange(3)
    (made,) = readings("v", Predictions(np.eye(3, dtype=np.float32), labels, None))
    assert made.note == "ValueError: assignment destination is read-only"
    assert labels.tolist() == [0, 1, 2]
