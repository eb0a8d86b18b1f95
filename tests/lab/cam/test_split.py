import pytest
import torch
from torch import nn

from edgecheck.errors import ModelError
from edgecheck.lab.cam.split import split
from tests.attribution.toys import worded
from tests.lab.cam import networks
from tests.lab.cam.networks import SMALL, Dense, Residual, seeded

torch.set_num_threads(1)
EXAMPLE = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("network", SMALL)
@torch.no_grad()
def test_two_parts_make_the_whole_as_often_as_asked(network: type[nn.Module]) -> None:
    model = seeded(network)
    parts = split(model, EXAMPLE, network.target).split
    feature, others = parts.body(EXAMPLE)
    kept = feature.clone()
    for _ in range(2):
        torch.testing.assert_close(parts.tail(feature, *others), model(EXAMPLE))
    assert torch.equal(feature, kept)  # in-place operators behind the target have not touched it


@pytest.mark.parametrize("network", SMALL)
@torch.no_grad()
def test_the_body_gives_what_the_layer_gives(network: type[nn.Module]) -> None:
    model = seeded(network)
    feature, _ = split(model, EXAMPLE, network.target).split.body(EXAMPLE)
    if network is Dense:
        expected = model.features(EXAMPLE).relu()
    else:
        given: list[torch.Tensor] = []
        model.get_submodule(network.target).register_forward_hook(lambda *call: given.append(call[2].clone()))
        model(EXAMPLE)
        expected = given[-1]
    torch.testing.assert_close(feature, expected)


@torch.no_grad()
def test_before_an_in_place_activation_the_map_is_the_untouched_one() -> None:
    model = seeded(Dense)
    feature, others = split(model, EXAMPLE, "features").split.body(EXAMPLE)
    assert feature.min() < 0
    assert others == ()


@torch.no_grad()
def test_every_layer_that_gives_a_map_can_be_cut_at() -> None:
    model = seeded(Residual)
    for name, part in model.named_modules():
        if name and not isinstance(part, nn.Linear):
            target = split(model, EXAMPLE, name)
            feature, others = target.split.body(EXAMPLE)
            torch.testing.assert_close(target.split.tail(feature, *others), model(EXAMPLE))
            assert target.warnings == []


def test_a_module_kept_whole_needs_no_warning_but_one_inside_it_does() -> None:
    model = seeded(networks.PartlyTraceable)
    assert split(model, EXAMPLE, "strange").warnings == []
    (warning,) = split(model, EXAMPLE, "strange.conv").warnings
    (text,) = worded([warning])
    assert "cannot be cut at 'strange.conv' (strange cannot be traced: TypeError" in text
    assert "the whole network runs for every ablated channel" in text


@pytest.mark.parametrize(
    ("network", "name", "message"),
    [
        (Residual, "stage", r"'stage' of Residual does not exist; nearest that do: stages, "),
        (Residual, "fc", r"'fc' of Residual gives no feature map \(N, K, h, w\); nearest that do: "),
        (networks.Branching, "stage", r"'stage' of Branching does not exist; nearest that do: stages, "),
        (networks.Branching, "fc", r"'fc' of Branching gives no feature map"),
        (networks.PartlyTraceable, "strange.con", r"'strange.con' of PartlyTraceable does not exist; nearest"),
    ],
)
def test_a_wrong_name_lists_the_nearest_right_ones(network: type[nn.Module], name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        split(seeded(network), EXAMPLE, name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


class Aliasing(nn.Module):
    """A buffer is written behind the target and read on a way that does not come from it: no cut can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.conv(x)
        sums = x[:, :1].mean((2, 3)).expand(-1, 4).clone()
        sums.add_(maps.mean((2, 3)))
        return self.fc(sums * 2)


@torch.no_grad()
def test_a_cut_that_changes_the_logits_is_not_used() -> None:
    model = Aliasing().eval()
    target = split(model, EXAMPLE, "conv")
    assert "its two parts give other logits than the whole" in target.warnings[0].fields["reason"]
    feature, others = target.split.body(EXAMPLE)
    torch.testing.assert_close(target.split.tail(feature, *others), model(EXAMPLE))
