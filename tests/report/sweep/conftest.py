import base64

import pytest

from edgecheck.report import curves, pareto_chart
from edgecheck.report.sweep import drops
from edgecheck.report.sweep.sections import Drawn, PictureFile, sections

COMMAND = "edgecheck sweep edgecheck.yaml --criterion l1,random --rate 0.2,0.4 --controls 3"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def page_of(report, command=COMMAND, caption="grad-cam, image 3, labelled bird"):
    """Return a report's sections, with all its charts and one picture, and that picture's bytes by its file."""
    picture = PictureFile("heatmaps/grad-cam-image-00003.png", caption)
    found = sections(
        report,
        command,
        Drawn(
            list(pareto_chart.charts(report, {report.variants[-1].name})),
            list(curves.charts(report)),
            list(drops.charts(report)),
            [picture],
        ),
    )
    return list(found), {picture.file: PIXEL}


@pytest.fixture(scope="session")
def told(report):
    """The sections of the made-up run."""
    return page_of(report)[0]
