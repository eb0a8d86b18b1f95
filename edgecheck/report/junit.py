"""The report as JUnit XML: one suite per candidate, one case per criterion.

The file has a failure if and only if the run did not pass, so that a CI server agrees with the exit code. The control
is not a candidate and has no suite. A CI server knows a case again by its names, which contain neither limits nor
measured values.

Times are those that the report has: the duration of the whole run. Criteria are judged together in no time, so a case
has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from edgecheck.records import Report
from edgecheck.report import cases, reasons
from edgecheck.report.cases import Case, Kind
from edgecheck.report.table import candidates
from edgecheck.text import plain

_TAGS: Mapping[Kind, str] = {"failure": "failure", "excused": "skipped", "waived": "skipped"}
_DECIMALS = 3  # of seconds, as other writers of JUnit have


def render(report: Report) -> str:
    """Return the XML; it has no host and no time of rendering, so that equal reports give equal text."""
    suites = [
        _suite(variant.name, cases.of_variant(report, variant.name), _properties(report, variant.name))
        for variant in candidates(report)
    ]
    if of_run := cases.of_run(report):
        suites.append(_suite(cases.GATE, of_run))
    suites += [_suite("digests", [_unverified(text)]) for text in reasons.unverified(report)]
    root = Element("testsuites", {"name": "edgecheck", **_sums(suites, "tests", "failures", "errors"), **_time(report)})
    root.extend(suites)
    indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, encoding="unicode")}\n'


def _suite(name: str, its_cases: Iterable[Case], properties: Mapping[str, str] | None = None) -> Element:
    made = [_case(case) for case in its_cases]
    failures, skipped = (sum(case.find(tag) is not None for case in made) for tag in ("failure", "skipped"))
    counts = {"tests": len(made), "failures": failures, "errors": 0, "skipped": skipped}
    suite = Element("testsuite", {"name": plain(name), **{key: str(count) for key, count in counts.items()}})
    if properties:
        listed = SubElement(suite, "properties")
        for key, value in properties.items():
            SubElement(listed, "property", name=key, value=value)
    suite.extend(made)
    return suite


def _case(case: Case) -> Element:
    made = Element("testcase", name=case.name, classname=f"edgecheck.{case.variant}")
    tag = "skipped" if case.kind == "warning" and case.status != "WARN" else _TAGS.get(case.kind)
    if tag:
        # Some servers show the attribute, others the text.
        SubElement(made, tag, message=case.text, type=case.status).text = case.text
    elif case.kind == "warning":
        SubElement(made, "system-out").text = case.text
    return made


def _properties(report: Report, variant: str) -> dict[str, str]:
    """Return the verdict on a variant, and the digest and the name of its file."""
    known = next(one for one in report.variants if one.name == variant)
    facts = {"verdict": report.statuses.get(variant, "MISSING"), "file": known.file, "sha256": known.sha256}
    return {name: plain(text) for name, text in facts.items() if text}


def _time(report: Report) -> dict[str, str]:
    """Return how long the run took; nothing where the report does not tell."""
    duration_s = sum(report.seconds.values()) if report.duration_s is None else report.duration_s
    return {"time": f"{duration_s:.{_DECIMALS}f}"} if report.seconds or report.duration_s is not None else {}


def _unverified(text: str) -> Case:
    """Return a skipped case that reports the mismatching digests."""
    return Case("digests", "what was measured is what is judged", "excused", "UNVERIFIED", text)


def _sums(suites: Sequence[Element], *names: str) -> dict[str, str]:
    return {name: str(sum(int(suite.attrib[name]) for suite in suites)) for name in names}
