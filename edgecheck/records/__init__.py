"""The frozen records between stages, one module per idea."""

from edgecheck.records.diagnostic import Diagnostic, Severity
from edgecheck.records.form import READABLE_VERSIONS, SCHEMA_VERSION, from_dict, to_dict, to_json
from edgecheck.records.policy import Criterion, Level, Operator, Policy, Recommendation, Status, Verdict
from edgecheck.records.readings import Reading, reading
from edgecheck.records.report import Environment, Report, Subject, Tool, Withheld
from edgecheck.records.similarity import ImageScore, Similarity
from edgecheck.records.variant import LayerCost, Role, Variant

__all__ = [
    "READABLE_VERSIONS",
    "SCHEMA_VERSION",
    "Criterion",
    "Diagnostic",
    "Environment",
    "ImageScore",
    "LayerCost",
    "Level",
    "Operator",
    "Policy",
    "Reading",
    "Recommendation",
    "Report",
    "Role",
    "Severity",
    "Similarity",
    "Status",
    "Subject",
    "Tool",
    "Variant",
    "Verdict",
    "Withheld",
    "from_dict",
    "reading",
    "to_dict",
    "to_json",
]
