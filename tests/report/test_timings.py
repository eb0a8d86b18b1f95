import pytest
from attrs import evolve

from edgecheck.report import html, timings
from tests.pipeline.fields import all_stages

pytestmark = pytest.mark.usefixtures("without_charts")


def test_every_stage_has_a_description_of_its_own():
    assert set(timings.STAGES) == {stage.kind for stage in all_stages()}
    assert len(set(timings.STAGES.values())) == len(timings.STAGES)


def test_stages_are_named_by_their_descriptions(report):
    timed = evolve(report, seconds={"finetune": 3.0, "make": 1.0})
    assert timings.rows(timed) == [
        ("fine-tuning", "3.00 s", "75.00 %"),
        ("saving the baseline", "1.00 s", "25.00 %"),
        ("all stages", "4.00 s", "100.00 %"),
    ]
    assert "saving the baseline" in html.render(timed)
