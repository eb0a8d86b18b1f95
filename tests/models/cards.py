"""What the model cards say: the figures of their table, their configuration, their commands."""

from pathlib import Path

from edgecheck import models
from edgecheck.config import reader
from edgecheck.config.plan import Plan

FOLDER = Path(models.__file__).parent


def text(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text()


def figures(name: str) -> dict[str, str]:
    rows = [line.strip("| ").split(" | ") for line in text(name).splitlines() if line.startswith("| ")]
    return {row[0]: row[1] for row in rows if len(row) == 2}


def accuracy(name: str) -> float:
    return float(figures(name)["accuracy"].split(" %")[0]) / 100


def configuration(name: str) -> Plan:
    return reader.parse(_block(name, "yaml"), FOLDER / "edgecheck.yaml", {})


def commands(name: str) -> list[str]:
    return _block(name, "sh").splitlines()


def _block(name: str, language: str) -> str:
    return text(name).split(f"```{language}\n")[1].split("```")[0]
