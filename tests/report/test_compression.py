import pytest

from edgecheck.records import OtherStep, Variant
from edgecheck.report.compression import compression
from edgecheck.steps import FineTuneStep, PruneStep, Quantize, QuantizeStep, Recipe

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
        ([OtherStep("quantized", {"scheme": "fp16"})], "quantize to fp16"),
        ([OtherStep("gating", {"threshold": 0.5})], "gating threshold 0.5"),
    ],
)
def test_steps_in_words(steps, words):
    assert compression(Variant("v", "candidate", steps=steps)) == words
