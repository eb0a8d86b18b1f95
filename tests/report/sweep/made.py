"""Small made-up reports: variants with just the readings that a test is about."""

from attrs import evolve

from edgecheck.attribution.table import default_methods
from edgecheck.records import Report, Variant, reading
from edgecheck.steps import FineTuneStep, PruneStep, QuantizeStep, Recipe
from tests.report.conftest import make_report


def pruned(
    criterion: str, rate: float, iterations: int = 1, quantization: str = "", round_to: int = 1, **more: object
) -> Variant:
    """A candidate by a criterion at a rate; its name says so."""
    way = {
        "structure": "filters",
        "scope": "layer",
        **{key: more.pop(key) for key in ("structure", "scope") & more.keys()},
    }
    steps = [
        PruneStep(criterion, rate=rate, round_to=round_to, share=(n + 1) / iterations, **way) for n in range(iterations)
    ]
    made = Variant(
        f"{criterion}-{rate}",
        "candidate",
        file="model.onnx",
        steps=[*steps, *([QuantizeStep(quantization)] if quantization else [])],
        effective_rate=rate,
    )
    return evolve(made, **more)


def control(name: str = "control") -> Variant:
    return Variant(name, "control", file="model.onnx", steps=[FineTuneStep(Recipe(), 0)])


def report_of(*rows: tuple[Variant, dict[str, float | None]]) -> Report:
    """A report of these variants with these readings, and nothing else."""
    return evolve(
        make_report(),
        variants=[variant for variant, _ in rows],
        readings=[reading(variant.name, metric, value) for variant, values in rows for metric, value in values.items()],
        similarities=[],
        verdicts=[],
        statuses={},
        warnings=[],
        anchors=[],
    )


def scores(accuracy: float, *sp2ps: float | None) -> dict[str, float | None]:
    """Accuracy, and Sp2PS by grad-cam, grad-cam++ and ablation-cam, as many as are given."""
    return {
        "accuracy": accuracy,
        **{f"sp2ps.{method}": value for method, value in zip(default_methods(), sp2ps, strict=False)},
    }
