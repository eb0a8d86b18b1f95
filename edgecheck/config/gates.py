"""From the `gate:` section, or a profile, to a policy."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from attrs import field, frozen
from ruamel.yaml.comments import CommentedMap

from edgecheck.attribution.table import default_criteria, default_methods
from edgecheck.config import document
from edgecheck.errors import ConfigError
from edgecheck.gate import sentence
from edgecheck.records import Criterion, Level, Policy
from edgecheck.records.policy import Decide, Require

PROFILES = "edgecheck.gate.profiles"
DEFAULT = "paper"
FLAG, PROFILE_FLAG = "--gate", "--profile"  # the places of what comes from the command line


@frozen
class GateSection:
    """The gate as written; `criteria` are sentences such as `accuracy_drop_pp <= 1`.

    Without a profile they are the whole gate. With one they replace its criteria of the same metric and device.
    """

    criteria: list[str] | None = None
    profile: str | None = None
    require: Require = "all"
    decide: Decide | None = None
    missing: Level = "fail"
    inconclusive: Level = "fail"


@frozen
class Profile:
    """The content of a profile's file."""

    criteria: list[str] = field(factory=list)


def profile(name: str, where: str = "") -> list[Criterion]:
    """Return the criteria of a profile. They name no place, so those on parity are judged only on files with a twin.

    Raises:
        ConfigError: no such profile; the message lists the known ones.
    """
    written = document.packaged(PROFILES, name, "profile", where)
    content = document.structure(written, Profile, written, f"{name}.yaml")
    criteria = [sentence.parse(text) for text in content.criteria]
    if name != DEFAULT:
        return criteria
    # A method of a plugin may have a threshold of its own.
    return replaced([sentence.parse(text) for text in default_criteria(default_methods())], criteria)


def replaced(criteria: Sequence[Criterion], by: Sequence[Criterion]) -> list[Criterion]:
    """Return the criteria with others in place of those of the same metric and device."""
    changed = {one.name for one in by}
    return [*(one for one in criteria if one.name not in changed), *by]


def policy(section: GateSection, written: CommentedMap, source: str, flags: Collection[str] = ()) -> Policy:
    """Return the policy of a section of the document `written`; the keys in `flags` come from the command line.

    Raises:
        ConfigError: an unknown profile, a sentence that is no criterion, or an empty gate.
    """

    def place(*steps: str | int) -> str:
        return f"{source}:{document.line_of(written, ('gate', *steps))}"

    if section.criteria == [] and section.profile is None:
        raise ConfigError(f"{place('criteria')}: gate.criteria is empty, so every variant would pass")
    own = [
        sentence.parse(text, FLAG if "criteria" in flags else place("criteria", index))
        for index, text in enumerate(section.criteria or [])
    ]
    sentence.check_directions(own)
    name = DEFAULT if section.profile is None and not own else section.profile
    criteria = (
        own if name is None else replaced(profile(name, PROFILE_FLAG if "profile" in flags else place("profile")), own)
    )
    return Policy(section.require, section.decide, section.missing, section.inconclusive, criteria, name or "")
