"""What the README promises and the code must agree with."""

import re
from importlib import resources
from pathlib import Path

import pytest

from edgecheck.config.reader import parse

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture(scope="module")
def text():
    return README.read_text()


def test_its_configuration_is_understood(text):
    lines = text[text.index("   model:\n") :].split("```")[0].splitlines()
    plan = parse("\n".join(line[3:] for line in lines), Path("edgecheck.yaml"), {})
    assert plan.policy.require == "any"
    assert [c.level for c in plan.policy.criteria] == ["fail", "fail", "fail", "warn"]


def test_it_is_short(text):
    assert len(text.splitlines()) < 200


def test_the_files_it_shows_and_links_to_are_there(text):
    named = re.findall(r'(?:src|srcset)="([^"]+)"|\]\((?!https?:)([^)#]+)\)', text)
    files = {"".join(pair) for pair in named}
    assert {"models/heatmaps-light.png", "models/heatmaps-dark.png", "CONTRIBUTING.md"} <= files
    assert [name for name in files if not (README.parent / name).is_file()] == []


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
