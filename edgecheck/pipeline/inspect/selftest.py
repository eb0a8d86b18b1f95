"""`edgecheck device selftest`: whether this device gives the answers of the host."""

from __future__ import annotations

from edgecheck.device.bundle.selftest import SAME_PIXELS, Tested, test
from edgecheck.device.bundle.unpack import Bundle
from edgecheck.device.runtime.ort import Options
from edgecheck.records import to_dict
from edgecheck.report.format import format_integer, format_value
from edgecheck.report.listing import Listing

COLUMNS = ["variant", "verdict", "images", "same class", "max |delta|", "limit", "Sp2PS"]


def tested(bundle: Bundle, provider: str | None, threads: int | None) -> tuple[Listing, bool]:
    """Return the outcome of the golden images on every file, and whether all are as on the host.

    Args:
        bundle: unpacked.
        provider: execution provider; None for that of the bundle.
        threads: intra-op threads; None for those of the bundle.

    Raises:
        InputError: the bundle holds no golden images.
        EdgecheckError: its data is damaged, or the provider is unknown.
    """
    measure = bundle.manifest.measure
    options = Options(threads or measure.intra_op_threads, provider or measure.provider, measure.graph_optimization)
    outcomes = list(test(bundle, options))
    notes = [f"{each.variant}: {each.reason}" for each in outcomes if each.reason]
    notes.append(f"heatmaps are those of the host from a Sp2PS of {SAME_PIXELS} on")
    passed = all(each.passed for each in outcomes)
    data = {"passed": passed, "variants": [_data(each) for each in outcomes]}
    title = f"self-test of {bundle.manifest.name} with {options.provider}"
    return Listing(title, COLUMNS, [_row(each) for each in outcomes], data, notes, text_columns=2), passed


def _data(outcome: Tested) -> dict[str, object]:
    return {**to_dict(outcome), "passed": outcome.passed}


def _row(outcome: Tested) -> list[str]:
    return [
        outcome.variant,
        "PASS" if outcome.passed else "FAIL",
        format_integer(outcome.images),
        format_integer(outcome.same),
        format_value(outcome.max_abs, "logit"),
        format_value(outcome.limit, "logit"),
        format_value(outcome.similarity, "score"),
    ]
