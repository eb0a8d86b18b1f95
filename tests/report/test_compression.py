import pytest

from edgecheck.records import OtherStep, Variant
from edgecheck.report.compression import compression, describe_step
from edgecheck.steps import FineTuneStep, Preserve, PruneStep, Quantize, QuantizeStep, RecalibrateStep, Recipe

HALF = PruneStep("l1", "filters", "layer", 0.5, round_to=8, share=0.5)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([], ""),
        (
            [HALF, FineTuneStep(Recipe(epochs=1), 0), QuantizeStep("int8")],
            "prune 25.00 % by l1, filters (layer), multiples of 8; fine-tune 1 epoch; quantize to int8",
        ),
        ([FineTuneStep(Recipe(epochs=0), 0)], ""),
        ([QuantizeStep("int8", Quantize(exclude=["conv1", "fc"]))], "quantize to int8 except conv1, fc"),
        (
            [OtherStep("finetuned", {"epochs": None}), OtherStep("finetuned", {"epochs": 2})],
            "fine-tune; fine-tune 2 epochs",
        ),
        (
            [RecalibrateStep(64, 0), FineTuneStep(Recipe(1, distill=0.9, preserve=Preserve()), 0)],
            "BatchNorm statistics of 64 training images; "
            "fine-tune 1 epoch (distilled 0.9; grad-cam maps kept, weight 4)",
        ),
        (
            [FineTuneStep(Recipe(2, freeze_batchnorm_statistics=True), 0)],
            "fine-tune 2 epochs (BatchNorm statistics frozen)",
        ),
        ([FineTuneStep(Recipe(0, freeze_batchnorm_statistics=True), 0)], ""),
        ([OtherStep("quantized", {"scheme": "fp16"})], "quantize to fp16"),
        ([OtherStep("gating", {"threshold": 0.5})], "gating threshold 0.5"),
    ],
)
def test_steps_in_words(steps, words):
    assert compression(Variant("v", "candidate", steps=steps)) == words


def test_rates_of_single_layers_are_named():
    step = PruneStep("l1", "filters", "layer", 0.0, rates={"conv1": 0.5, "conv2": 0.25})
    assert describe_step(step) == "prune conv1 50.00 %, conv2 25.00 % by l1, filters (layer)"
    beside = PruneStep("l1", "filters", "layer", 0.3, share=0.5, rates={"conv1": 0.0})
    assert describe_step(beside) == "prune 15.00 % (conv1 0.00 %) by l1, filters (layer)"
