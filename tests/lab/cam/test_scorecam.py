"""Score-CAM on evidence made by hand; that its heatmaps are grad-cam's is among the tests of the engine."""

import pytest
import torch

from edgecheck.lab.cam.method import Evidence
from edgecheck.lab.cam.scorecam import scorecam

torch.set_num_threads(1)
MAPS = torch.rand(2, 5, 3, 4, generator=torch.Generator().manual_seed(0)) - 0.5


def evidence(maps: torch.Tensor, calls: list[torch.Tensor]) -> Evidence:
    """A network whose logit is the mean of its input, and inputs that are 1 everywhere: it scores masks by area."""

    def score(masks: torch.Tensor) -> torch.Tensor:
        calls.append(masks)
        return masks.mean((2, 3))

    return Evidence(maps, torch.zeros_like(maps), torch.ones(len(maps)), lambda: maps.sum((2, 3)), (9, 8), score)


def test_weights_are_the_softmax_of_what_the_masks_leave() -> None:
    calls: list[torch.Tensor] = []
    weights = scorecam(evidence(MAPS, calls))
    masks = torch.nn.UpsamplingBilinear2d(size=(9, 8))(MAPS)
    masks = masks - masks.flatten(2).min(2)[0][..., None, None]
    masks = masks / (masks.flatten(2).max(2)[0][..., None, None] + 1e-8)
    torch.testing.assert_close(calls[0], masks)
    torch.testing.assert_close(weights[:, :, 0, 0], masks.mean((2, 3)).softmax(1))
    assert weights.shape == (2, 5, 1, 1)


def test_a_constant_channel_shows_the_network_nothing() -> None:
    calls: list[torch.Tensor] = []
    assert scorecam(evidence(torch.full((1, 3, 2, 2), 7.0), calls)).tolist() == [[[[pytest.approx(1 / 3)]]] * 3]
    assert (calls[0] == 0).all()


@pytest.mark.parametrize(("size", "at_once"), [(1, 1), (2 * 9 * 8 * 4 * 2, 2), (2**30, 5)])
def test_chunks_bound_the_masks_and_do_not_matter(size: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = scorecam(evidence(MAPS, []))
    monkeypatch.setattr("edgecheck.lab.cam.scorecam.CHUNK_BYTES", size)
    calls: list[torch.Tensor] = []
    torch.testing.assert_close(scorecam(evidence(MAPS, calls)), expected)
    assert max(masks.shape[1] for masks in calls) == at_once
