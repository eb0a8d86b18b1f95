"""From the `gate:` section, or a profile, to a policy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from attrs import evolve, field, frozen
from ruamel.yaml.comments import CommentedMap

from edgecheck.attribution.table import default_criteria, default_methods
from edgecheck.config import document
from edgecheck.config.waivers import WaiverEntry, waivers
from edgecheck.errors import ConfigError
from edgecheck.gate import sentence
from edgecheck.records import Criterion, Level, Policy
from edgecheck.records.policy import Decide, Require
from edgecheck.registry import nearest

PROFILES = "edgecheck.gate.profiles"
DEFAULT = "paper"
SUFFIXES = (".yaml", ".yml")  # of a profile in a file of one's own
FLAG, PROFILE_FLAG = "--gate", "--profile"  # the places of what comes from the command line


@frozen
class GateSection:
    """The gate as written; `criteria` are sentences such as `accuracy_drop_pp <= 1`.

    Without a profile they are the whole gate. With one they replace its criteria of the same metric and device, and
    `drop` names those of its metrics that are not asked for.
    """

    criteria: list[str] | None = None
    profile: str | None = None
    drop: list[str] = field(factory=list)
    require: Require = "all"
    decide: Decide | None = None
    missing: Level = "fail"
    inconclusive: Level = "fail"
    waivers: list[WaiverEntry] = field(factory=list)


@frozen
class Profile:
    """The content of a profile's file. It may extend a profile that ships, as a section does."""

    criteria: list[str] = field(factory=list)
    extends: str | None = None
    drop: list[str] = field(factory=list)


def profile(name: str, where: str = "", folder: Path = Path()) -> list[Criterion]:
    """Return the criteria of a profile: one that ships, or a file of one's own, whose name ends in .yaml.

    Those of a profile that ships name no place, so those on parity are judged only on files with a twin.

    Args:
        name: of the profile, or the path of a file.
        where: file and line of the name, or the option, for the error.
        folder: what a relative path is relative to.

    Raises:
        ConfigError: no such profile, with the known ones; or a file that is none.
        InputError: the file cannot be read.
    """
    if name.endswith(SUFFIXES):
        return _of_file(folder / Path(name).expanduser())
    written = document.packaged(PROFILES, name, "profile", where)
    content = document.structure(written, Profile, written, f"{name}.yaml")
    criteria = _parsed(content.criteria)
    if name != DEFAULT:
        return criteria
    # A method of a plugin may have a threshold of its own.
    return replaced(_parsed(default_criteria(default_methods())), criteria)


def profiles() -> list[str]:
    """Return the names of the profiles that ship."""
    return sorted(document.files_of(PROFILES))


def _of_file(file: Path) -> list[Criterion]:
    written = document.read(document.text_of(file, "name a profile that ships, or write the file"), str(file))

    def place(*steps: str | int) -> str:
        return f"{file}:{document.line_of(written, steps)}"

    content = document.structure(written, Profile, written, str(file))
    own = [each for index, text in enumerate(content.criteria) for each in _parsed([text], place("criteria", index))]
    if content.extends is None and not own:
        raise ConfigError(f"{file}: no criteria, so every variant would pass; add some, or `extends: {DEFAULT}`")
    if content.extends is not None and content.extends.endswith(SUFFIXES):
        raise ConfigError(f"{place('extends')}: extends names a profile that ships, not a file")
    below = profile(content.extends, place("extends")) if content.extends is not None else []
    return replaced(_without(below, content.drop, lambda index: place("drop", index)), own)


def _parsed(sentences: Iterable[str], where: str = "") -> list[Criterion]:
    return [criterion for text in sentences for criterion in sentence.parse_all(text, where)]


def replaced(criteria: Sequence[Criterion], by: Sequence[Criterion]) -> list[Criterion]:
    """Return the criteria with others in place of those of the same metric and device."""
    changed = {one.name for one in by}
    return [*(one for one in criteria if one.name not in changed), *by]


def amended(policy: Policy, sentences: Iterable[str]) -> Policy:
    """Return a policy with criteria of the command line in place of those of the same metric and device.

    Raises:
        ConfigError: a sentence that is no criterion, or one that refuses only what is better.
    """
    criteria = replaced(policy.criteria, _parsed(sentences, FLAG))
    sentence.check_directions(criteria)
    return evolve(policy, criteria=criteria)


def _without(criteria: list[Criterion], dropped: Sequence[str], place: Callable[[int], str]) -> list[Criterion]:
    """Return the criteria of a profile without those on the metrics that are dropped.

    Raises:
        ConfigError: the profile has none on such a metric.
    """
    names = list(dict.fromkeys(one.name for one in criteria))
    for index, name in enumerate(dropped):
        if name not in names:
            known = ", ".join(names) or "nothing, since there is no profile"
            raise ConfigError(f"{place(index)}: no criterion on {name!r} to drop{nearest(name, names)}; known: {known}")
    return [one for one in criteria if one.name not in dropped]


def policy(section: GateSection, written: CommentedMap, source: str, flags: Collection[str] = ()) -> Policy:
    """Return the policy of a section of the document `written`; the keys in `flags` come from the command line.

    Raises:
        ConfigError: an unknown profile, a sentence that is no criterion, a malformed waiver, or an empty gate.
        InputError: the file of a profile cannot be read.
    """

    def place(*steps: str | int) -> str:
        return f"{source}:{document.line_of(written, ('gate', *steps))}"

    if section.criteria == [] and section.profile is None:
        raise ConfigError(f"{place('criteria')}: gate.criteria is empty, so every variant would pass")
    own = [
        criterion
        for index, text in enumerate(section.criteria or [])
        for criterion in sentence.parse_all(text, FLAG if "criteria" in flags else place("criteria", index))
    ]
    sentence.check_directions(own)
    name = DEFAULT if section.profile is None and not own else section.profile
    below = [] if name is None else _profile_of(name, "profile" in flags, place("profile"), Path(source).parent)
    criteria = replaced(_without(below, section.drop, lambda index: place("drop", index)), own)
    if not criteria:
        raise ConfigError(f"{place('drop')}: gate.drop leaves no criterion, so every variant would pass")
    sentence.check_directions(criteria)
    return Policy(
        require=section.require,
        decide=section.decide,
        missing=section.missing,
        inconclusive=section.inconclusive,
        criteria=criteria,
        profile=name or "",
        waivers=waivers(section.waivers, lambda index, key: place("waivers", index, key)),
    )


def _profile_of(name: str, by_flag: bool, where: str, folder: Path) -> list[Criterion]:
    """Return the criteria of a profile; a path on the command line is relative to the current folder."""
    return profile(name, PROFILE_FLAG) if by_flag else profile(name, where, folder)
