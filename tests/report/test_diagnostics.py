"""Every diagnostic that the package makes has a sentence, and the other way round."""

import ast
import re
import string
from functools import partial
from pathlib import Path
from typing import get_args

import attrs
import pytest

import edgecheck
from edgecheck.config.plan import Plan
from edgecheck.metrics import Unit
from edgecheck.records import Diagnostic
from edgecheck.registry import register
from edgecheck.report import RENDERERS, html, reasons, sentences, terminal
from edgecheck.report.diagnostics import BENCH, by_name, render
from edgecheck.report.sentences import SENTENCES

pytestmark = pytest.mark.usefixtures("without_charts")

PACKAGE = Path(edgecheck.__file__).parent
FORMATTER = string.Formatter()

# Fields for the sentences that are functions; those of a format string follow from its placeholders.
EXAMPLES = {
    "rate-empties-layers": {"layers": [{"layer": "conv1", "kept": 1, "width": 16}]},
    "subnormal-weights": {"weights": 3, "as_is_s": 0.02, "flushed_s": 0.01, "helps": True, "not_measured": None},
    "opset-too-new": {"version": 23, "supported": 21, "runtime": "1.18"},
    "ir-version-too-new": {"version": 11, "supported": 10, "runtime": None},
    "heatmaps-quantized": {"map": "relu_18", "map_step": 0.08, "logit_step": 0.19, "below": 0.58},
    "device-throttled": {
        "signs": [
            {"kind": "throttle-count", "where": "core_throttle_count", "count": 2, "clock_share": None},
            {"kind": "slow-while-hot", "where": "cpu-thermal", "count": 3, "clock_share": 0.5},
            {"kind": "under-voltage", "where": "firmware", "count": 0, "clock_share": None},
        ]
    },
    "sensors-unread": {
        "sources": [{"source": "/sys/class/thermal/thermal_zone*/temp", "reason": "absent", "files": 0}]
    },
    "provider-fallback": {"provider": "CUDAExecutionProvider", "on_cpu": 2, "nodes": 30, "time_share": 0.4},
    "clock-not-fixed": {"governor": "ondemand", "paced": False},
    "latency-ratio-unsteady": {"ratios": [{"name": "a", "low": 0.9, "high": 1.2}]},
    "gate-fewer-macs-slower": {"ratios": [{"name": "a", "ratio": 1.2}]},
    "gate-int8-slower": {"ratios": [{"name": "a", "ratio": 1.2}]},
    "gate-limit-above-noise-floor": {
        **{"metric": "sp2ps.grad-cam", "op": ">=", "limit": 0.95},
        **{"mean": 0.94, "low": 0.92, "high": 0.96, "controls": 2},
    },
    "gate-waiver-not-applied": {"metric": "size.bytes", "variant": "a", "verified": False},
    "gate-advice-any": {"recommended": "a", "failing": 2},
    "gate-advice-relative": {
        **{"metrics": ["sp2ps.grad-cam"], "metric": "sp2ps.grad-cam", "limit": 0.95, "floor": 0.91},
        **{"passing": ["a"]},
    },
    "gate-advice-lower-rate": {
        **{"variant": "a", "metric": "sp2ps.grad-cam", "floor": 0.99, "actual": 0.91, "rate": 0.1},
    },
    "heatmaps-across-architectures": {"chances": {"grad-cam": 0.444, "ablation-cam": 0.502}},
    "preprocessing-doubtful": {
        **{"accuracy": 0.1, "better_accuracy": 0.9, "images": 64},
        **{"preprocessing": "{range: [0, 255]}", "bgr": True},
    },
}


TREES = {path.relative_to(PACKAGE): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def calls(name):
    """Yield (call, constants of its module, place) of each call of a function or class in the package."""
    for path, tree in TREES.items():
        constants = {
            ast.unparse(node.targets[0]): node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == name:
                yield node, constants, f"{path}:{node.lineno}"


def fields_of(call):
    """Return the expression for the fields of a `Diagnostic(id, fields)` or `evolve(diagnostic, fields=...)`."""
    given = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "fields")]
    return given[0] if given else ast.Dict([], [])


def keys(display):
    return {ast.literal_eval(key) for key in display.keys if key is not None}  # None stands for `**other`


def made():
    """Yield (id, names of the fields, place) of each `Diagnostic(...)` in the package."""
    for call, constants, place in calls("Diagnostic"):
        id, fields = call.args[0], fields_of(call)
        id = id.value if isinstance(id, ast.Constant) else constants.get(ast.unparse(id))
        assert id, f"{place}: write the id of a Diagnostic as text or as a constant of the module"
        assert isinstance(fields, ast.Dict), f"{place}: write the fields of a Diagnostic as a dictionary"
        yield id, keys(fields), place


MADE = list(made())
# Fields that a caller adds to a diagnostic, for example the layers that a reason applies to.
ADDED = {key for call, *_ in calls("evolve") if isinstance(fields := fields_of(call), ast.Dict) for key in keys(fields)}


def example(id, sentence):
    """Return fields that fit a sentence."""
    if callable(sentence):
        assert id in EXAMPLES, f"add fields for {id} to EXAMPLES"
        return EXAMPLES[id]
    named = [(name, spec) for _, name, spec, _ in FORMATTER.parse(sentence) if name and name != "setting"]
    return {name: _value(spec) for name, spec in sorted(named, key=lambda pair: len(pair[1]))}


def _value(spec):
    if spec == "list":
        return ["a", "b"]
    number = (
        spec.startswith("#")
        or spec == ","
        or spec.endswith(("f", "g"))
        or spec in (*get_args(Unit), "percent", "change")
    )
    return 2 if number else "x"


@pytest.mark.parametrize(("id", "names", "place"), MADE, ids=[f"{id}-{place}" for id, _, place in MADE])
def test_every_diagnostic_has_a_sentence_that_its_fields_fill(id, names, place):
    assert id in SENTENCES, f"{place}: {id} has no sentence in report/sentences"
    mentioned = set(example(id, SENTENCES[id]))
    assert names <= mentioned, f"{place}: the sentence does not mention {names - mentioned}"
    assert mentioned - names <= ADDED, f"{place}: the sentence needs {mentioned - names}"


@pytest.mark.parametrize("id", SENTENCES)
def test_every_sentence_is_used_and_renders(id):
    assert id in {id for id, *_ in MADE}
    text = render(Diagnostic(id, example(id, SENTENCES[id])))
    assert text.isprintable()
    assert not text.startswith(f"{id} (")  # how a diagnostic is shown whose fields do not fit
    assert not re.search(r"(?<!\[)\{(?!range)", text)


@pytest.mark.parametrize("id", SENTENCES)
def test_ids_are_in_kebab_case(id):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", id)


def test_examples_are_of_functions():
    assert set(EXAMPLES) == {id for id, sentence in SENTENCES.items() if callable(sentence)}


SETTINGS = {
    key
    for path in PACKAGE.glob("report/sentences/*.py")
    for key in re.findall(r"\{setting:(\w[\w.]*)\}", path.read_text())
}


@pytest.mark.parametrize("key", sorted(SETTINGS | set(BENCH)))
def test_settings_are_those_of_the_configuration(key):
    section, name = key.split(".")
    record = {field.name: field.type for field in attrs.fields(attrs.resolve_types(Plan))}[section]
    assert name in {field.name for field in attrs.fields(record)}


def test_options_are_those_of_the_command():
    from edgecheck.cli.inspecting import bench

    assert set(BENCH.values()) <= {option for parameter in bench.params for option in parameter.opts}


@pytest.mark.parametrize(
    ("diagnostic", "text"),
    [
        (Diagnostic("from-the-future"), "from-the-future"),
        (
            Diagnostic("from-the-future", {"share": 0.5, "names": ["ä"], "why": "it is\nso"}),
            'from-the-future (share: 0.5, names: ["ä"], why: it is so)',
        ),
        (Diagnostic("machine-busy"), "machine-busy"),  # the field is missing
        (Diagnostic("machine-busy", {"share": "much"}), "machine-busy (share: much)"),
        (Diagnostic("heatmaps-across-architectures", {"chances": 3}), "heatmaps-across-architectures (chances: 3)"),
        (Diagnostic("gate-fewer-macs-slower", {"ratios": 3}), "gate-fewer-macs-slower (ratios: 3)"),
        (Diagnostic("text", {"text": "\x1b[31mred\n{share}"}), "\\x1b[31mred {share}"),
    ],
)
def test_what_does_not_fit_is_shown_by_id_and_fields(diagnostic, text):
    assert render(diagnostic) == text


def test_a_plugin_adds_a_sentence(monkeypatch):
    monkeypatch.setattr(sentences, "SENTENCES", dict(SENTENCES))
    monkeypatch.setattr("edgecheck.report.diagnostics.SENTENCES", sentences.SENTENCES)
    register(sentences.SENTENCES, "toy-too-large")("the toy has {size:bytes}")

    assert render(Diagnostic("toy-too-large", {"size": 2000})) == "the toy has 2.00 kB"
    with pytest.raises(ValueError, match="twice"):
        register(sentences.SENTENCES, "machine-busy")("other words")


def test_equal_texts_are_told_once_behind_all_names():
    assert by_name([("a", "slow"), ("b", "large"), ("c", "slow")]) == ["a, c: slow", "b: large"]


@pytest.fixture
def told(report):
    zero, note = Diagnostic("zero-weights"), Diagnostic("int8-seven-bits", severity="note")
    variants = [attrs.evolve(v, warnings=[zero, note]) if v.role == "candidate" else v for v in report.variants]
    run = [
        Diagnostic("machine-busy", {"share": 0.5}),
        Diagnostic("latency-of-batch", {"name": "a", "batch": 8}, "note"),
    ]
    return attrs.evolve(report, variants=variants, warnings=run)


def test_warnings_and_notes_are_apart(told):
    names = ", ".join(variant.name for variant in told.variants if variant.role == "candidate")

    assert [text.partition(":")[0] for text in reasons.warnings(told)] == [
        "other processes used 50 % of the machine's cores while latency was measured",
        names,
    ]
    assert [text[:15] for text in reasons.notes(told)] == ["a takes 8 image", names[:15]]


@pytest.mark.parametrize("render", [partial(terminal.render, verbose=True), RENDERERS["markdown"], html.render])
def test_each_format_shows_both(told, render):
    text = " ".join(render(told).split())

    for heading, sentence in (("Warnings", "many weights are zero"), ("Notes", "a takes 8 images per run")):
        assert heading in text
        assert sentence in text


def test_a_variant_shows_its_own(told):
    page = html.render(told)

    assert page.count('<p class="remark WARN"><strong>Warning</strong> many weights are zero') == 5
    assert page.count('<p class="remark NOTE"><strong>Note</strong> int8 weights have 7 bits') == 5
