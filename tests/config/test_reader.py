import textwrap
from pathlib import Path

import numpy as np
import pytest

from edgecheck.attribution.table import METHODS
from edgecheck.config import reader
from edgecheck.errors import ConfigError, InputError

TEXT = """\
name: t
model:
  factory: nets/build.py:make
  weights: w.safetensors
data:
  dataset: digits
variants:
  - criterion: [l1, random]
    structure: unstructured
    rate: [0.2, 0.4]
  - criterion: l1
    structure: [filters, unstructured]
    rate: 0.2
gate:
  require: any
  criteria:
    - sp2ps.grad-cam >= 0.95
    - size.bytes <= 300 kB warn
"""


def read(text=TEXT, **overrides):
    return reader.parse(text, Path("folder/edgecheck.yaml"), overrides)


def test_a_plan_is_read_whole():
    plan = read()
    assert plan.model.factory == "folder/nets/build.py:make"
    assert plan.model.weights == Path("folder/w.safetensors")
    assert [v.name for v in plan.variants] == [
        "l1-unstructured-0.20",
        "l1-unstructured-0.40",
        "random-unstructured-0.20",
        "random-unstructured-0.40",
        "l1-filters-0.20",
    ]
    assert [v.pruning.scope for v in plan.variants] == ["global"] * 4 + ["layer"]
    assert plan.policy.require == "any"
    assert [c.where for c in plan.policy.criteria] == ["folder/edgecheck.yaml:17", "folder/edgecheck.yaml:18"]
    # From the preset of the data set.
    assert plan.preprocessing.size == (32, 32)
    # The paper's recipe.
    assert (plan.finetune.epochs, plan.finetune.batch_size, plan.finetune.learning_rate) == (10, 32, 0.001)


def test_user_words_lie_on_top_of_the_preset_and_flags_on_top_of_both():
    text = TEXT + "preprocessing:\n  range: [0, 255]\n"
    plan = read(text, data={"limit": 7})
    assert plan.preprocessing.range == (0, 255)
    assert plan.preprocessing.size == read().preprocessing.size
    # Range, mean and std belong together: those of the preset are gone.
    assert plan.preprocessing.mean == plan.preprocessing.std == []
    assert plan.data.limit == 7


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("name: t", "naem: t", 1, "unknown key 'naem', did you mean 'name'?"),
        ("name: t", "waivers: []", 1, "unknown key 'waivers', it belongs in the section gate; known: "),
        ("name: t", "weights: a.pt", 1, "unknown key 'weights', it belongs in the section model; known: "),
        ("rate: [0.2, 0.4]", "rates: [0.2]", 10, "did you mean 'rate'?"),
        ("rate: [0.2, 0.4]", "rate: [0.2, 1.4]", 8, "between 0 and 1, not 1.4"),
        ("rate: [0.2, 0.4]", "rate: [-0.1]", 8, "between 0 and 1"),
        ("rate: [0.2, 0.4]", "rate: [.nan]", 8, "between 0 and 1"),
        ("rate: [0.2, 0.4]", "rate: [half]", 10, "expected a number"),
        ("dataset: digits", "dataset: digit", 6, "did you mean 'digits'?"),
        ("dataset: digits", "root: x", 5, "missing key 'dataset'"),
        ("data:\n  dataset: digits", "data: digits", 5, "key: value"),
        ("require: any", "require: some", 15, "expected all or any"),
        (">= 0.95", ">= nan", 17, "finite"),
        (">= 0.95", "<= 0.95", 17, "rejects only better values"),
        ("size.bytes <= 300 kB", "latency.p90_s <= 5", 18, "needs a unit"),
        ("sp2ps.grad-cam", "sp2ps.gradcam", 17, "did you mean 'sp2ps.grad-cam'?"),
        ("nets/build.py:make", "nets/build.py", 3, "path/file.py:function"),
        ("name: t", "name: 3", 1, "expected text"),
        ("name: t", "seed: -1", 1, "seed must be between 0 and"),
        ("name: t", "seed: 1.5", 1, "expected a whole number"),
        ("name: t", "explain: {methods: [gradcam]}", 1, "did you mean 'grad-cam'?"),
        ("name: t", "explain: {engine: gradcam}", 1, "expected edgecheck or grad-cam"),
        ("name: t", "finetune: {epochs: true}", 1, "expected a whole number"),
        ("name: t", "finetune: {learning_rate: .inf}", 1, "learning_rate must be between"),
        ("name: t", "name: [", 3, "not YAML"),
    ],
)
def test_mistakes_are_named_with_file_and_line(old, new, line, words):
    with pytest.raises(ConfigError) as error:
        read(TEXT.replace(old, new, 1))
    assert str(error.value).startswith(f"folder/edgecheck.yaml:{line}: "), str(error.value)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_every_cam_method_can_be_asked_for_and_gated():
    three = ["grad-cam", "grad-cam++", "ablation-cam"]
    more = [name for name in METHODS if name not in three]
    assert read().explain.methods == three
    gates = "".join(f"    - sp2ps.{name} >= 0.9\n    - pe_like.{name} >= 0.5\n" for name in more)
    plan = read(f"{TEXT}{gates}explain: {{methods: [{', '.join(more)}], engine: grad-cam}}\n")
    assert (plan.explain.methods, plan.explain.engine) == (more, "grad-cam")
    assert {f"sp2ps.{name}" for name in more} < {c.metric for c in plan.policy.criteria}


def test_a_criterion_from_a_flag_is_not_told_to_stand_in_the_file():
    given = {"gate": {"criteria": ["accuracy >= 0.9"]}}
    assert [c.where for c in read(**given).policy.criteria] == ["--gate"]
    preset = "data: {dataset: digits}"
    assert {c.where for c in read(preset).policy.criteria} == {""}
    with pytest.raises(ConfigError, match=r"^--gate: 'accuracy <= 0.9' rejects only"):
        read(gate={"criteria": ["accuracy <= 0.9"]})


def test_an_empty_gate_is_refused():
    with pytest.raises(ConfigError, match=r"edgecheck.yaml:16: gate.criteria is empty"):
        read(TEXT[: TEXT.index("    - sp2ps")].replace("criteria:", "criteria: []"))


def test_a_missing_file_names_the_cure(tmp_path):
    with pytest.raises(InputError, match="edgecheck init"):
        reader.load(tmp_path / "no.yaml")


def test_binary_is_no_configuration(tmp_path):
    path = tmp_path / "edgecheck.yaml"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match="cannot be read as text"):
        reader.load(path)


def test_the_gate_of_a_file_can_be_read_alone(tmp_path):
    path = tmp_path / "gate.yaml"
    path.write_text("gate:\n  criteria: accuracy >= 90 %\nanything: else\n")
    assert reader.load_gate(path).criteria[0].limit == pytest.approx(0.9)


@pytest.mark.parametrize("dataset", ["digits", "cifar10", "stl10", "folder", "npz"])
def test_every_preset_has_a_gate_that_asks_for_degenerate_share_and_the_papers_thresholds(dataset):
    limits = {
        c.metric: (c.op, c.limit)
        for c in reader.parse(f"data: {{dataset: {dataset}}}", Path("edgecheck.yaml"), {}).policy.criteria
    }
    assert limits["cam.degenerate_share"] == ("<=", 0.05)
    assert limits["sp2ps.grad-cam"] == (">=", 0.95)
    assert limits["sp2ps.ablation-cam"] == (">=", 0.90)


def test_the_file_that_init_writes_is_understood():
    from importlib import resources

    text = resources.files("edgecheck.cli").joinpath("edgecheck.yaml").read_text()
    plan = reader.parse(text, Path("edgecheck.yaml"), {})
    assert plan.model.factory == "my_model.py:build"
    assert len(plan.variants) == 10
    seeds = reader.parse(text.replace("# seeds: 5", "seeds: 5"), Path("edgecheck.yaml"), {}).variants
    assert len(seeds) == 18  # five for each of two rates of filters


@pytest.mark.parametrize("key", ["corruption", "variants", "plugins"])
def test_a_list_whose_items_are_all_commented_out_is_refused_in_words(key):
    with pytest.raises(ConfigError, match=f"edgecheck.yaml:2: {key}: expected a list, but there is nothing"):
        read(f"data: {{dataset: digits}}\n{key}:\n  # - jpeg\n")


def variants(text):
    rows = textwrap.dedent(text)
    return read("data: {dataset: digits}\nvariants:\n" + textwrap.indent(rows.strip(), "  ") + "\n").variants


def test_quantized_variants_of_the_baseline_and_of_pruned_ones():
    found = variants("""
        - quantization: [int8, fp16]
        - {criterion: l1, structure: filters, rate: 0.2, quantization: [none, int8]}
        - {criterion: l1, structure: filters, rate: 0.4, quantization: int8}
        """)

    assert [(v.name, [step.kind for step in v.on_network], [step.scheme for step in v.on_file]) for v in found] == [
        ("baseline-int8", [], ["int8"]),
        ("baseline-fp16", [], ["fp16"]),
        ("l1-filters-0.20", ["prune", "finetune"], []),
        ("l1-filters-0.20-int8", ["prune", "finetune"], ["int8"]),
        ("l1-filters-0.40-int8", ["prune", "finetune"], ["int8"]),
    ]


def test_nodes_left_out_of_quantization_are_part_of_the_step():
    plan = read("data: {dataset: digits}\nquantize: {exclude: [a, b]}\nvariants: [{quantization: int8}]\n")

    assert plan.variants[0].steps[0].options.exclude == ["a", "b"]


@pytest.mark.parametrize("row", ["- {criterion: l1}", "- {criterion: l1, rate: 0.2}", "- {quantization: none}", "- {}"])
def test_a_row_that_says_too_little_is_refused_at_its_line(row):
    with pytest.raises(ConfigError, match=r"edgecheck\.yaml:3: a variant needs criterion, structure and rate"):
        variants(row)


def test_a_section_that_is_none_is_refused_though_a_flag_sets_a_key_of_it():
    with pytest.raises(ConfigError, match="measure: expected"):
        read("data: {dataset: digits}\nmeasure: nonsense\n", measure={"latency_budget_s": 0.0})


def test_a_normalization_is_assumed_only_where_nobody_names_one(tmp_path):
    images, labels = np.zeros((1, 4, 4, 1), np.uint8), np.zeros(1, int)
    np.savez(tmp_path / "says.npz", images=images, labels=labels, mean=[0.5])
    np.savez(tmp_path / "silent.npz", images=images, labels=labels)

    def assumed(file, more=""):
        text = f"data: {{dataset: npz, root: {file}}}\n{more}"
        return reader.parse(text, tmp_path / "edgecheck.yaml", {}).normalization_assumed

    assert assumed("silent.npz")
    assert assumed("silent.npz", "preprocessing: {size: [8, 8]}")
    assert not assumed("silent.npz", "preprocessing: {range: [0, 1]}")
    assert not assumed("says.npz")
