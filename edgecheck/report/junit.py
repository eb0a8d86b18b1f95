"""The report as JUnit XML: a suite for every candidate, a case for every criterion.

The file has a failure exactly where the run did not pass, so that a CI server and the exit code say the same. The
control is no candidate and has no suite.
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
    """Return JUnit XML. It holds neither times nor hosts: the same report gives the same text."""
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
    # The name holds nothing measured: a CI server follows a case from run to run by it.
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
    return case


def _rule(report: Report) -> TestSuite:
    """Return the failure of a run in which no single criterion failed, for example one without candidates."""
    suite, case = TestSuite("gate"), TestCase(f"require {report.policy.require}", "edgecheck.gate.judge", time=0)
    case.result = [Failure(reasons.rule(report), "FAIL")]
    suite.add_testcase(case)
    suite.update_statistics()
    return suite


def _unverified(text: str) -> TestSuite:
    """Return a skipped case which says that the digests did not match."""
    suite, case = TestSuite("digests"), TestCase("what was measured is what is judged", "edgecheck.digests", time=0)
    case.result = [Skipped(text, "UNVERIFIED")]
    suite.add_testcase(case)
    suite.update_statistics()
    return suite
