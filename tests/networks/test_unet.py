"""The paper's U-Net: parameter counts of docs/method.md 3.4, shapes of 3.1, padding, sizes, random weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from glocalseg.config.model import ConfigError
from glocalseg.config.settings import NetworkConfig
from glocalseg.networks.build import build_network, initialise, local_blocks
from glocalseg.networks.heads import GlobalHead, LocalHead
from glocalseg.networks.levels import unet_levels
from glocalseg.networks.unet import ConvBlock, SegmentationNet

PAPER = NetworkConfig()


def paper_net(size: int = 192, classes: int = 4, seed: int = 0) -> SegmentationNet:
    return build_network(PAPER, size=(size, size), classes=classes, seed=seed)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


@pytest.mark.parametrize(("classes", "head", "total"), [(4, 5280, 2095760), (3, 5136, 2095616), (8, 5856, 2096336)])
def test_parameters_of_the_whole_network(classes: int, head: int, total: int) -> None:
    net = paper_net(classes=classes)
    assert count(net.encoder) == 885552
    assert count(net.head) == head
    assert count(net) == total


@pytest.mark.parametrize(("blocks", "expected"), [(1, 509056), (2, 1018112), (3, 1162048), (4, 1198176), (5, 1204928)])
def test_parameters_of_the_decoder(blocks: int, expected: int) -> None:
    assert count(paper_net().decoder.blocks[:blocks]) == expected


def test_parameters_of_the_heads() -> None:
    assert count(GlobalHead(128, 6, 6)) == 4849664
    assert count(GlobalHead(128, 5, 5)) == 3407872
    assert count(LocalHead(64, region_size=3, project=False, momentum=0.01)) == 8320
    assert count(LocalHead(64, region_size=3, project=True, momentum=0.01)) == 8320 + 73728
    assert LocalHead(64, region_size=1, project=True, momentum=0.01).project is None  # docs/method.md 3.2


@pytest.mark.parametrize(("size", "bottom"), [(192, 6), (160, 5)])
def test_shapes(size: int, bottom: int) -> None:
    net = paper_net(size).eval()
    assert net.decoder.channels == [128, 128, 64, 32, 16]
    with torch.no_grad():
        maps = net.encoder(torch.zeros(1, 1, size, size))
        assert [tuple(m.shape[1:]) for m in maps] == [
            (c, size // 2**i, size // 2**i) for i, c in enumerate((16, 32, 64, 128, 128, 128))
        ]
        assert maps[-1].shape[2] == bottom
        for blocks, channels in enumerate(net.decoder.channels, 1):
            side = size // 2 ** (5 - blocks)
            assert net.decoder(maps, blocks).shape == (1, channels, side, side)
        assert net.head(net.decoder(maps)).shape == (1, 4, size, size)
        assert GlobalHead(128, bottom, bottom)(maps[-1]).shape == (1, 128)


def test_the_last_decoder_block_has_one_convolution_and_the_head_no_bias() -> None:
    net = paper_net()
    assert [len(b.convolutions) for b in net.decoder.blocks] == [2, 2, 2, 2, 1]  # type: ignore[arg-type]
    assert net.head[2].bias is None
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {m.eps for m in norms} == {1e-3}
    assert {m.momentum for m in norms} == {0.01}


def test_a_two_by_two_convolution_pads_right_and_bottom_only() -> None:
    block = ConvBlock(1, 1, 2, momentum=0.1).eval()
    convolution = next(m for m in block if isinstance(m, nn.Conv2d))
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([[[[1.0, 10.0], [100.0, 1000.0]]]]))
        convolution.bias.zero_()  # type: ignore[union-attr]
        x = torch.arange(1.0, 10.0).view(1, 1, 3, 3)
        found = block[1](block[0](x))[0, 0]
    # out[i, j] = x[i, j] + 10 x[i, j + 1] + 100 x[i + 1, j] + 1000 x[i + 1, j + 1], zeros beyond the right and lower border
    assert found[0, 0] == 1 + 20 + 400 + 5000
    assert found[0, 2] == 3 + 600
    assert found[2, 0] == 7 + 80
    assert found[2, 2] == 9


def test_the_upsampled_branch_comes_before_the_skip() -> None:
    block = paper_net().decoder.blocks[3].eval()  # 64 -> 32, skip 32
    seen: list[torch.Tensor] = []
    block.convolutions.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))  # type: ignore[union-attr]
    skip = torch.full((1, 32, 8, 8), 7.0)
    with torch.no_grad():
        block(torch.rand(1, 64, 4, 4), skip)
    assert seen[0].shape == (1, 64, 8, 8)
    assert torch.equal(seen[0][:, 32:], skip)


@pytest.mark.parametrize(
    ("size", "levels"),
    [((192, 192), 6), ((160, 160), 6), ((64, 64), 5), ((48, 48), 5), ((32, 32), 4), ((96, 160), 6), ((50, 64), 2)],
)
def test_levels_follow_the_frame(size: tuple[int, int], levels: int) -> None:
    assert unet_levels(size, 6) == levels
    net = build_network(PAPER, size=size, classes=2, seed=0).eval()
    assert len(net.decoder.blocks) == levels - 1
    with torch.no_grad():
        assert net(torch.zeros(1, 1, *size)).shape == (1, 2, *size)


def test_frames_that_do_not_fit_are_named() -> None:
    with pytest.raises(ConfigError, match=r"frame: size: expected multiples of 2.*found \(33, 33\)"):
        build_network(PAPER, size=(33, 33), classes=2, seed=0)
    with pytest.raises(ConfigError, match=r"network: levels: expected at most 4 for \(24, 24\), found 5"):
        build_network(NetworkConfig(levels=5), size=(24, 24), classes=2, seed=0)
    with pytest.raises(ConfigError, match="found 7"):
        build_network(NetworkConfig(levels=7), size=(192, 192), classes=2, seed=0)


def test_local_blocks() -> None:
    net = paper_net()
    assert local_blocks(net, None) == 3
    assert local_blocks(net, 5) == 5
    with pytest.raises(ConfigError, match="expected at most 5 for this frame, found 6"):
        local_blocks(net, 6)
    small = build_network(PAPER, size=(32, 32), classes=2, seed=0)
    assert local_blocks(small, None) == 1


def test_random_weights_depend_on_the_seed_alone_and_layers_are_independent() -> None:
    a = paper_net(seed=3).state_dict()
    torch.manual_seed(99)
    torch.rand(5)
    b, c = paper_net(seed=3).state_dict(), paper_net(seed=4).state_dict()
    weights = [k for k in a if k.endswith("weight") and a[k].ndim == 4]
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not any(torch.equal(a[k], c[k]) for k in weights)
    same_shape = [a[k] for k in weights if a[k].shape == (128, 128, 3, 3)]
    assert len(same_shape) > 3
    assert not any(torch.equal(x, y) for i, x in enumerate(same_shape) for y in same_shape[:i])  # D23


def test_he_and_glorot() -> None:
    net = paper_net()
    convolution = net.encoder.blocks[4][1][0]  # type: ignore[index,union-attr]
    assert convolution.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 128)), rel=0.01)
    assert (convolution.bias == 0).all()
    head = GlobalHead(128, 6, 6)
    initialise(head, 1)
    dense = head[1].weight
    limit = math.sqrt(6 / (4608 + 1024))
    assert dense.abs().max() <= limit
    assert dense.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.01)
