"""The report as JUnit XML: one suite per candidate, one case per criterion.

The file has a failure if and only if the run did not pass, so that a CI server agrees with the exit code. The control
is not a candidate and has no suite.
"""

from __future__ import annotations

from xml.etree import ElementTree

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from edgecheck.gate.leniency import counts_as
from edgecheck.records import Report, Variant, Verdict
from edgecheck.report import reasons
from edgecheck.report.format import format_criterion
from edgecheck.report.table import candidates
from edgecheck.text import plain


def render(report: Report) -> str:
    """Return JUnit XML without times and hosts, so that equal reports give equal text."""
    document = JUnitXml("edgecheck")
    suites = [_suite(report, variant) for variant in candidates(report)]
    if not report.passed and not any(suite.failures for suite in suites):
        suites.append(_rule(report))
    suites += [_unverified(text) for text in reasons.unverified(report)]
    for suite in suites:
        document.add_testsuite(suite)
    document.update_statistics()
    tree = ElementTree.fromstring(document.tostring())
    ElementTree.indent(tree)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(tree, encoding="unicode")}\n'


def _suite(report: Report, variant: Variant) -> TestSuite:
    suite = TestSuite(plain(variant.name))
    suite.add_property("verdict", report.statuses.get(variant.name, "MISSING"))
    if variant.sha256:
        suite.add_property("sha256", plain(variant.sha256))
    for verdict in reasons.verdicts_of(report, variant.name):
        suite.add_testcase(_case(report, verdict))
    suite.update_statistics()
    return suite


def _case(report: Report, verdict: Verdict) -> TestCase:
    # The name contains no measured value: a CI server identifies a case by it across runs.
    case = TestCase(format_criterion(verdict), f"edgecheck.{plain(verdict.variant)}", time=0)
    text = f"{verdict.status} {reasons.sentence(report, verdict)}"
    match counts_as(report.policy, verdict):
        case "fail" if report.passed:
            case.result = [Skipped(f"{text} (another variant passes, and the gate asks for one)", verdict.status)]
        case "fail":
            case.result = [Failure(text, verdict.status)]
        case "warn" if verdict.status != "WARN":
            case.result = [Skipped(f"{text} (the policy counts this as a warning)", verdict.status)]
        case "warn":
            case.system_out = text
        case None if verdict.status == "WAIVED":
            case.result = [Skipped(text, verdict.status)]
    return case


def _rule(report: Report) -> TestSuite:
    """Return the failure of a run in which no single criterion failed, for example one without candidates."""
    suite, case = TestSuite("gate"), TestCase(f"require {report.policy.require}", "edgecheck.gate.judge", time=0)
    case.result = [Failure(reasons.rule(report), "FAIL")]
    suite.add_testcase(case)
    suite.update_statistics()
    return suite


def _unverified(text: str) -> TestSuite:
    """Return a skipped case that reports the mismatching digests."""
    suite, case = TestSuite("digests"), TestCase("what was measured is what is judged", "edgecheck.digests", time=0)
    case.result = [Skipped(text, "UNVERIFIED")]
    suite.add_testcase(case)
    suite.update_statistics()
    return suite
