"""The model card: read back by huggingface_hub."""

import pytest
from attrs import evolve
from huggingface_hub import ModelCard

from edgecheck.report import RENDERERS
from tests.release.conftest import WAIVER
from tests.report.conftest import HOSTILE, make_report, renamed


def read(report):
    """Return the card as huggingface_hub reads it."""
    return ModelCard(RENDERERS["model-card"](report))


def test_the_front_matter_holds_the_passing_files():
    report = make_report()
    data = read(report).data
    passing = [name for name, status in report.statuses.items() if status in ("PASS", "WARN")]
    accuracy = {f"accuracy of {name}": report.value(name, "accuracy").value for name in passing}
    assert len(accuracy) > 1
    assert (data.library_name, data.pipeline_tag) == ("onnx", "image-classification")
    assert "pruned" in data.tags
    assert {one.metric_name: one.metric_value for one in data.eval_results} == accuracy
    assert {one.dataset_revision for one in data.eval_results} == {report.subject.data_sha256}
    assert {one.dataset_type for one in data.eval_results} == {"cifar10"}


def test_a_tag_is_named_once_and_never_empty():
    tags = read(make_report()).data.tags
    assert len(set(tags)) == len(tags)
    assert all(tags)


def test_if_nothing_passes_it_says_so(failed):
    assert "No file passes the gate" in read(failed).text
    assert "No file passes the gate" not in read(make_report()).text


def test_what_is_not_met_is_a_limitation(waived):
    text = read(waived).text
    limitations = text[text.index("## Limitations") :]
    assert f"- {WAIVER.variant}: WAIVED " in limitations
    failing = [name for name, status in waived.statuses.items() if status not in ("PASS", "WARN", "WAIVED")]
    assert failing
    assert not any(f"- {name}: " in limitations for name in failing)  # the card is not about these


@pytest.mark.parametrize(
    "name", [HOSTILE, "a: b\n---\nlicense: mit", "- x", "\U0001f600 \u202eabc", "caf\udce9", "'\""]
)
def test_no_name_adds_a_field_or_markup(name):
    report = renamed(name)
    text = RENDERERS["model-card"](evolve(report, statuses={**report.statuses, name: "PASS"}))
    card = ModelCard(text)
    assert set(card.data.to_dict()) == {"library_name", "pipeline_tag", "tags", "metrics", "model-index"}
    assert "<script" not in card.text
    assert text.split("\n").count("---") == 2
    assert not [character for character in text if character != "\n" and not character.isprintable()]
