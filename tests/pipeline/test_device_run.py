"""What a device makes of a bundle before it measures."""

from pathlib import Path

from attrs import evolve

from edgecheck.config.gates import FLAG
from edgecheck.device.bundle.unpack import unpack
from edgecheck.gate.sentence import parse
from edgecheck.pipeline import device_run
from edgecheck.pipeline.device_run import Here
from edgecheck.records import HOST, Policy, Variant
from edgecheck.steps import PruneStep, QuantizeStep


def test_a_quantized_file_knows_its_float_file(packed, tmp_path):
    bundle = unpack(packed, tmp_path)
    prune, int8 = PruneStep("l1", "filters", "layer", 0.4), QuantizeStep("int8")
    steps = {"baseline": [], "int8": [int8], "l1": [prune], "l1-int8": [prune, int8], "alone": [prune, prune, int8]}
    made = [Variant(name, "candidate", file=f"{name}.onnx", steps=list(these)) for name, these in steps.items()]
    entries = device_run._entries(evolve(bundle, manifest=evolve(bundle.manifest, variants=made)))
    sources = {entry.name: entry.source and entry.source.name for entry in entries}
    assert sources == {"baseline": None, "int8": "baseline", "l1": None, "l1-int8": "l1", "alone": None}
    assert entries[0].file.path == Path(bundle.folder) / "baseline.onnx"


def test_the_plan_holds_the_criteria_of_this_device_alone(packed, tmp_path):
    bundle = unpack(packed, tmp_path)
    sentences = ("latency.p50_s <= 1 s", "latency.p50_s@pi4 <= 2 s", "latency.p50_s@pi5 <= 3 s")
    policy = Policy(criteria=[parse(sentence, FLAG) for sentence in sentences])
    there = evolve(bundle, manifest=evolve(bundle.manifest, policy=policy))
    plan = device_run._plan(there, Here("pi4", provider="CUDAExecutionProvider", threads=3))
    assert [(c.limit, c.device) for c in plan.policy.criteria] == [(2.0, HOST)]
    assert (plan.measure.provider, plan.measure.intra_op_threads) == ("CUDAExecutionProvider", 3)
    assert plan.measure.latency_budget_s == bundle.manifest.measure.latency_budget_s
    assert plan.preprocessing == bundle.manifest.preprocessing
