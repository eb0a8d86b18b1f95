"""Small made-up reports: variants with just the readings that a test is about."""

from attrs import evolve

from edgecheck.metrics import CAM_METHODS
from edgecheck.records import Report, Variant, reading
from tests.report.conftest import make_report


def pruned(criterion: str, rate: float, **more: object) -> Variant:
    """A candidate by a criterion at a rate; its name says so."""
    made = Variant(
        f"{criterion}-{rate}",
        "candidate",
        file="model.onnx",
        criterion=criterion,
        structure="filters",
        scope="layer",
        rate=rate,
        effective_rate=rate,
    )
    return evolve(made, **more)


def control(name: str = "control") -> Variant:
    return Variant(name, "control", file="model.onnx", rate=0.0)


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
    )


def scores(accuracy: float, *sp2ps: float | None) -> dict[str, float | None]:
    """Accuracy, and Sp2PS by grad-cam, grad-cam++ and ablation-cam, as many as are given."""
    return {
        "accuracy": accuracy,
        **{f"sp2ps.{method}": value for method, value in zip(CAM_METHODS, sp2ps, strict=False)},
    }
