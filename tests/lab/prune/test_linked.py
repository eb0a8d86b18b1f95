import torch

from edgecheck.lab.prune.dependency_groups import find_groups
from edgecheck.models.resnet_cifar import OptionAShortcut, resnet20
from tests.lab.prune.networks import EXAMPLE, Plain


def test_groups_of_a_chain():
    groups, notes = find_groups(Plain(), EXAMPLE)
    assert notes == []
    assert [(group.root, group.size) for group in groups] == [("conv1", 4), ("hidden", 5), ("conv2", 6)]
    conv2 = groups[2]
    assert {(cut.module, cut.side): len(cut.channels) for cut in conv2.cuts} == {
        ("conv2", "out"): 6,
        ("hidden", "in"): 96,
    }
    reader = next(cut for cut in conv2.cuts if cut.side == "in")
    assert torch.equal(reader.units[reader.channels.argsort()], torch.arange(6).repeat_interleave(16))


def test_option_a_shifts_channels():
    groups, notes = find_groups(resnet20(), torch.zeros(1, 3, 32, 32))
    assert notes == []
    streams = {group.root: group for group in groups if len(group.producers) > 1}
    # 16 channels run through all stages, 16 are added in the second and 32 in the third.
    assert [group.size for group in streams.values()] == [16, 16, 32]
    assert len(groups) == 3 + 9  # and one for each block's inner convolution
    first = streams["conv1"]
    channel_3 = {cut.module: int(cut.channels[cut.units == 3]) for cut in first.producers}
    assert channel_3["layer1.2.conv2"] == 3
    assert channel_3["layer2.0.conv2"] == 3 + 8
    assert channel_3["layer3.2.conv2"] == 3 + 8 + 16


def test_padding_shrinks_with_its_channels():
    from edgecheck.lab.prune.option_a import remove

    shortcut = remove(OptionAShortcut(16, 32), [0, 1, 9, 30], channels_in=16)
    assert (shortcut.before, shortcut.after) == (6, 7)
