"""Text of reports in documents that are published: encodable, and without paths of the machine that made them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from edgecheck.records import Report


def as_json(document: Mapping[str, Any]) -> str:
    """Return a document as JSON in ASCII, which no character of a name can leave."""
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def encodable(text: str) -> str:
    """Return text that can be encoded; a file name that is no UTF-8 has characters that cannot."""
    return text.encode("utf-8", "backslashreplace").decode()


def model_name(report: Report) -> str:
    """Return the model without the folder of its file: `net.py:build`, `torchvision:resnet18`."""
    return re.split(r"[/\\]", report.subject.model)[-1]


def data_kind(report: Report) -> str:
    """Return the kind of the data set without its path: `digits`, `folder`."""
    found = re.match(r"[\w-]+", report.subject.dataset)
    return found[0] if found else "images"
