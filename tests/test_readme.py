"""What the README promises and the code must agree with."""

from importlib import resources
from pathlib import Path

import pytest

from edgecheck.config.reader import parse
from edgecheck.metrics import METRICS

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture(scope="module")
def text():
    return README.read_text()


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
def test_every_metric_has_its_line(text, metric):
    assert f"| `{metric.name}` | {metric.meaning} | {metric.source} |" in text


def test_its_configuration_is_understood(text):
    lines = text[text.index("   model:\n") :].split("```")[0].splitlines()
    plan = parse("\n".join(line[3:] for line in lines), Path("edgecheck.yaml"), {})
    assert plan.policy.require == "any"
    assert [c.level for c in plan.policy.criteria] == ["fail", "fail", "fail", "warn"]


def test_the_picture_is_there(text):
    assert "(models/digits_cnn.png)" in text
    assert (README.parent / "models" / "digits_cnn.png").stat().st_size > 0


def test_every_command_is_named(text):
    from edgecheck.cli import cli

    for name in cli.commands:
        assert f"`{name}`" in text or f"edgecheck {name}" in text, name


def test_installed_data_files_are_packaged():
    for package, name in (
        ("edgecheck.models", "digits_cnn.safetensors"),
        ("edgecheck.models", "digits_cnn.yaml"),
        ("edgecheck.calibration", "digits.yaml"),
        ("edgecheck.report", "templates/report.html.j2"),
        ("edgecheck.cli", "edgecheck.yaml"),
    ):
        assert resources.files(package).joinpath(name).is_file(), name
