"""A made-up run, judged by the real gate, with every kind of verdict; and one whose names try to break each format."""

import os
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest
from attrs import evolve

from edgecheck.attribution.table import default_methods
from edgecheck.gate.judgement import judged
from edgecheck.records import (
    SCHEMA_VERSION,
    Anchor,
    Criterion,
    Diagnostic,
    Environment,
    Gallery,
    ImageScore,
    LayerCost,
    Mark,
    OtherStep,
    Policy,
    Reading,
    Recommendation,
    Report,
    Shown,
    Similarity,
    Subject,
    Tool,
    Variant,
    Verdict,
    reading,
)
from edgecheck.report import svg
from edgecheck.steps import FineTuneStep, PruneStep, Recipe

GOLDEN = Path(__file__).parent.parent / "golden"
IMAGES = 10_000
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FLOOR = {"grad-cam": 0.9621, "grad-cam++": 0.9783, "ablation-cam": 0.9587}

GONE = "the twin's weights are gone; make the variant again"

HOSTILE = (
    '<script>alert("x")</script>|[bold red]*_`$\\frac{1$ & \x1b[31m\x00\u202e\n- [x](http://evil.example) @all ]]>'
)


def _text(text: str) -> Diagnostic:
    return Diagnostic("text", {"text": text})


def _hash(digit: str) -> str:
    return (digit * 4 + "0f1e2d3c") * 5 + digit * 4


def _variant(name: str, criterion: str, structure: str, rate: float, **more: object) -> Variant:
    made = Variant(
        name=name,
        role="candidate",
        file=f"{name}/model.onnx",
        sha256=_hash(str(int(rate * 10))),
        twin=f"{name}/weights.safetensors",
        steps=[*([PruneStep(criterion, structure, "global", rate)] if criterion else []), FineTuneStep(Recipe(), 0)],
        effective_rate=max(0.0, rate - 0.004),
        opset=18,
        ir_version=10,
    )
    return evolve(made, **more)


def _readings(name: str, accuracy: float, scale: float, sp2ps: dict[str, float | None]) -> list[Reading]:
    return [
        reading(name, "accuracy", accuracy, (accuracy - 0.0054, accuracy + 0.0052), IMAGES),
        reading(name, "accuracy_drop_pp", 100 * (0.9378 - accuracy), n=IMAGES),
        reading(name, "agreement", 1 - 2.2 * (0.9378 - accuracy) - 0.01, n=IMAGES),
        *(
            reading(
                name,
                f"sp2ps.{method}",
                value,
                None if value is None else (value - 0.0021, value + 0.0019),
                IMAGES,
                note="" if value is not None else GONE,
            )
            for method, value in sp2ps.items()
        ),
        reading(name, "latency.p50_s", 0.0124 * scale, (0.0123 * scale, 0.0126 * scale), 640),
        reading(name, "latency.p90_s", 0.0131 * scale, n=640),
        reading(name, "latency.ratio", scale, (scale - 0.013, scale + 0.014), 640),
        reading(name, "size.bytes", 37_232_544 * scale),
        reading(name, "size.zlib_bytes", 34_501_223 * scale),
        reading(name, "params", 9_306_250 * scale),
        reading(name, "macs", 626_403_328 * scale),
        reading(name, "flops", 1_252_806_656 * scale),
        reading(name, "memory.activation_bytes", 1_048_576 * scale),
        reading(name, "parity.max_abs", 3.81e-6, n=IMAGES),
        reading(name, "parity.agreement", 1.0, n=IMAGES),
    ]


def _similarities(name: str, sp2ps: dict[str, float | None], agreeing: int) -> list[Similarity]:
    return [
        Similarity(
            variant=name,
            method=method,
            score=value,
            low=value - 0.0021,
            high=value + 0.0019,
            n=IMAGES,
            agreeing_score=value + 0.0042,
            n_agreeing=agreeing,
            ssim=value - 0.03,
            sam=value + 0.02,
            pe_like=value - 0.05,
            both_zero=1,
            one_zero=12 if method == "ablation-cam" else 3,
            negative_logits=7,
            per_class={label: value - 0.004 * index for index, label in enumerate(CLASSES)},
            worst=[ImageScore(4711, 0.113, 3, 3, 5), ImageScore(815, 0.204, 9, 9, 9)],
        )
        for method, value in sp2ps.items()
        if value is not None
    ]


def _below(amount: float) -> dict[str, float | None]:
    return {method: FLOOR[method] - amount for method in default_methods()}


ANCHORS = [
    Anchor(
        "ablation-cam",
        "twin",
        Mark(0.5023, 0.4911, 0.5126, IMAGES),
        Mark(0.6799, n=50),
        Mark(0.1469, 0.0765, 0.2172, 500),
    ),
    Anchor(
        "grad-cam",
        "twin",
        Mark(0.4439, 0.4318, 0.4555, IMAGES),
        Mark(0.5687, 0.4959, 0.6415, 500),
        Mark(0.1076, 0.0468, 0.1684, 500),
    ),
    Anchor(
        "grad-cam++",
        "twin",
        Mark(0.5498, 0.5396, 0.5592, IMAGES),
        Mark(reason="Gemm has integer weights: only float weights can be random"),
        Mark(reason="Gemm has integer weights: only float weights can be random"),
    ),
]

CRITERIA = [
    Criterion("accuracy_drop_pp", "<=", 1.0, "fail", "accuracy_drop <= 1 pp", "edgecheck.yaml:31"),
    Criterion("sp2ps.grad-cam", ">=", 0.95, "fail", "sp2ps.grad-cam >= 0.95", "edgecheck.yaml:32"),
    Criterion("sp2ps.ablation-cam", ">=", 0.90, "fail", "sp2ps.ablation-cam >= 0.90", "edgecheck.yaml:33"),
    Criterion("cam.degenerate_share", "<=", 0.05, "fail", "cam.degenerate_share <= 5 %", "edgecheck.yaml:34"),
    Criterion("latency.ratio", "<=", 0.80, "fail", "latency.ratio <= 0.80", "edgecheck.yaml:35"),
    Criterion("size.bytes", "<=", 25e6, "warn", "warn: size <= 25 MB", "edgecheck.yaml:36"),
]


def make_report() -> Report:
    """Return a run whose candidates end in PASS, WARN, FAIL, INCONCLUSIVE and MISSING, in another order."""
    none = dict.fromkeys(default_methods())
    plan = [
        # variant, accuracy, ratio, Sp2PS, images on which the predictions agree
        (_variant("l1-filters-0.2", "l1", "filters", 0.2), 0.9351, 0.71, _below(0.006), 9_871),
        (_variant("l1-filters-0.4", "l1", "filters", 0.4), 0.9312, 0.52, _below(0.011), 9_688),
        (_variant("l1-filters-0.6", "l1", "filters", 0.6), 0.9194, 0.31, _below(0.0478), 9_402),
        (
            _variant("random-filters-0.2", "random", "filters", 0.2),
            0.9290,
            0.79,
            _below(0.0118),
            9_655,
        ),
        (_variant("l1-unstructured-0.4", "l1", "unstructured", 0.4), 0.9366, 0.75, none, 9_904),
    ]
    readings = [*_readings("baseline", 0.9378, 1.0, none)]
    readings = [r for r in readings if not r.metric.startswith(("sp2ps.", "accuracy_drop", "agreement"))]
    readings += _readings("control", 0.9384, 1.0, _below(0))
    similarities = _similarities("control", _below(0), 9_920)
    for variant, accuracy, ratio, sp2ps, agreeing in plan:
        taken = _readings(variant.name, accuracy, ratio, sp2ps)
        share, note = (0.0013, "") if sp2ps["grad-cam"] is not None else (None, GONE)
        taken.append(reading(variant.name, "cam.degenerate_share", share, n=IMAGES, note=note))
        readings += taken
        similarities += _similarities(variant.name, sp2ps, agreeing)
    made = [variant for variant, *_ in plan]
    policy = Policy(criteria=CRITERIA)
    measured = Report(
        schema_version=SCHEMA_VERSION,
        tool=Tool("edgecheck", "1.0.0"),
        environment=Environment(
            cpu="Cortex-A72 at 1.5 GHz",
            logical_cores=4,
            machine="aarch64",
            system="Linux 6.1",
            python="3.11.7",
            versions={"onnx": "1.19.0", "onnxruntime": "1.23.2", "torch": "2.13.0"},
            provider="CPUExecutionProvider",
            intra_op_threads=1,
            cpu_flags=["asimd"],
        ),
        subject=Subject(
            name="cifar10-release",
            model="edgecheck:cifar10_cnn7",
            weights_sha256=_hash("a"),
            dataset="cifar10",
            data_sha256=_hash("d"),
            images=IMAGES,
            classes=CLASSES,
            preprocessing="32x32, pixels 0..255 to 0..1, mean 0.5 0.5 0.5, std 0.5 0.5 0.5",
            preprocessing_sha256=_hash("b"),
            target_layer="features.27",
            class_explained="predicted",
            sam="map",
            seed=0,
            finetune="10 epochs, SGD, learning rate 0.001, momentum 0.9, batch 32",
            chance=0.1,
        ),
        variants=[
            Variant(
                "baseline",
                "baseline",
                "baseline/model.onnx",
                _hash("a"),
                "weights.safetensors",
                opset=18,
                ir_version=10,
            ),
            _variant("control", "", "", 0.0, role="control"),
            *made,
        ],
        readings=readings,
        similarities=similarities,
        policy=policy,
        verdicts=[],
        statuses={},
        recommendation=Recommendation(None, ""),
        passed=False,
        warnings=[
            _text("the CPU governor is ondemand, so latency wanders: set it to performance"),
            _text("1,204 subnormal weights in l1-filters-0.6: set session.set_denormal_as_zero"),
        ],
        created="2026-11-24T16:53:14Z",
        command=["edgecheck", "run", "edgecheck.yaml", "--out", "my report"],
        duration_s=754.2,
        samples="latency.json",
        anchors=ANCHORS,
    )
    return judged(measured, policy)


SHOWN = [
    Shown(4711, "moved", 3, 3, 0.98, 3, 0.91, {"grad-cam": 0.113, "ablation-cam": 0.25}),
    Shown(815, "changed", 3, 3, 0.97, 5, 0.61, {"grad-cam": 0.2, "ablation-cam": 0.4}),
    Shown(7, "typical", 9, 5, 0.4, 5, 0.5, {"grad-cam": 0.95, "ablation-cam": 0.9}),
]


def shown_on(report: Report, *names: str) -> tuple[Report, dict[str, dict[str, bytes]]]:
    """Return a report with a gallery of some variants, and its pictures: bytes that name what they would show."""
    gallery = Gallery("grad-cam", 0.9482, 24, 32, SHOWN)
    variants = [
        evolve(one, gallery=gallery, pictures=[f"{one.name}/pictures.zip"]) if one.name in names else one
        for one in report.variants
    ]
    pictures: dict[str, dict[str, bytes]] = {name: {} for name in names}
    for name, one in product(names, SHOWN):
        pictures[name][one.picture] = one.picture.encode()
        for method in one.sp2ps:
            before, after = one.heatmap(method, "baseline"), one.heatmap(method, "variant")
            pictures[name] |= {before: before.encode(), after: f"{name} {after}".encode()}
    return evolve(report, variants=variants), pictures


@pytest.fixture(scope="session")
def report() -> Report:
    return make_report()


def renamed(text: str) -> Report:
    """Return that run with a variant, its layers, classes, notes, reasons and warnings, model and machine named so."""
    made, old = make_report(), "l1-filters-0.6"
    layer = LayerCost(text, text, None, 5, 0.1, 5)
    rename = [
        evolve(item, variant=text) if item.variant == old else item
        for item in [*made.readings, *made.similarities, *made.verdicts]
    ]
    return evolve(
        made,
        environment=evolve(made.environment, cpu=text, system=text, host=text, versions={text: text}),
        subject=evolve(
            made.subject,
            **dict.fromkeys(("name", "model", "dataset", "preprocessing", "target_layer", "finetune"), text),
            classes=[text] * 10,
        ),
        variants=[
            evolve(
                v,
                **dict.fromkeys(("name", "twin", "file"), text),
                steps=[PruneStep(text, text, "global", 0.6), OtherStep(text, {text: text})],
                warnings=[_text(text)],
                layers=[layer],
            )
            if v.name == old
            else v
            for v in made.variants
        ],
        readings=[evolve(item, note=text) for item in rename if isinstance(item, Reading)],
        anchors=[evolve(a, method=text, source=text, head=Mark(reason=text)) for a in made.anchors[:1]],
        similarities=[evolve(s, per_class={text: 0.5}) for s in rename if isinstance(s, Similarity)],
        verdicts=[evolve(v, reason=text) for v in rename if isinstance(v, Verdict)],
        statuses={text if name == old else name: status for name, status in made.statuses.items()},
        recommendation=Recommendation(text, text),
        warnings=[_text(text)],
    )


@pytest.fixture(scope="session")
def hostile() -> Report:
    """That run, named to break markup."""
    return renamed(HOSTILE)


def compare(name: str, text: str) -> None:
    """Compare a text with its golden file, or write that file where EDGECHECK_WRITE_GOLDEN is set."""
    path = GOLDEN / name
    if os.environ.get("EDGECHECK_WRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def golden() -> Callable[[str, str], None]:
    """Return the function that compares a text with its golden file."""
    return compare


@pytest.fixture(scope="module")
def without_charts() -> Iterator[None]:
    """Draw no charts, for tests that are about something else: they take most of the time of a page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svg, "installed", lambda: False)
        yield
