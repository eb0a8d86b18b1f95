"""The frozen records of a run and its report, one module per idea."""

from edgecheck.records.anchor import Anchor, Mark
from edgecheck.records.device import DeviceRun
from edgecheck.records.diagnostic import Diagnostic, Severity
from edgecheck.records.form import from_dict, to_dict, to_json
from edgecheck.records.gallery import Gallery, Group, Shown, Side
from edgecheck.records.migrations import SCHEMA_VERSION
from edgecheck.records.policy import Criterion, Level, Operator, Policy, Recommendation, Status, Verdict, Waiver
from edgecheck.records.readings import HOST, Reading, on, on_host, reading
from edgecheck.records.report import Environment, Report, Subject, Tool, Withheld
from edgecheck.records.search import Attempt, BranchResult, Search
from edgecheck.records.sensitivity import LayerEffect, Sensitivity, by_drift
from edgecheck.records.similarity import ImageScore, Mean, Similarity
from edgecheck.records.variant import LayerCost, NewlyWrong, OtherStep, Role, Variant

__all__ = [
    "HOST",
    "SCHEMA_VERSION",
    "Anchor",
    "Attempt",
    "BranchResult",
    "Criterion",
    "DeviceRun",
    "Diagnostic",
    "Environment",
    "Gallery",
    "Group",
    "ImageScore",
    "LayerCost",
    "LayerEffect",
    "Level",
    "Mark",
    "Mean",
    "NewlyWrong",
    "Operator",
    "OtherStep",
    "Policy",
    "Reading",
    "Recommendation",
    "Report",
    "Role",
    "Search",
    "Sensitivity",
    "Severity",
    "Shown",
    "Side",
    "Similarity",
    "Status",
    "Subject",
    "Tool",
    "Variant",
    "Verdict",
    "Waiver",
    "Withheld",
    "by_drift",
    "from_dict",
    "on",
    "on_host",
    "reading",
    "to_dict",
    "to_json",
]
