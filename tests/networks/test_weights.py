"""What one stage hands to the next (docs/method.md 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from glocalseg.config.settings import NetworkConfig
from glocalseg.networks.build import build_network
from glocalseg.networks.unet import SegmentationNet
from glocalseg.networks.weights import FILE, freeze, load_pretrained, parts_of, pretrained_tensors, save_weights
from glocalseg.records.sealed import CorruptedError

SMALL = NetworkConfig(channels=[4, 6, 8, 8])


def net(seed: int, classes: int = 3) -> SegmentationNet:
    return build_network(SMALL, size=(32, 32), classes=classes, seed=seed)


def trained(seed: int) -> SegmentationNet:
    """A network whose every tensor differs from a fresh one's, running averages included."""
    found = net(seed)
    with torch.no_grad():
        for name, tensor in found.state_dict().items():
            tensor.add_(3 if name.endswith("num_batches_tracked") else 0.5)
    return found


def is_average(name: str) -> bool:
    return name.endswith(("running_mean", "running_var", "num_batches_tracked"))


@pytest.mark.parametrize("averages", [False, True])
@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_encoder_and_first_blocks_are_handed_on_and_nothing_else(tmp_path: Path, blocks: int, averages: bool) -> None:
    source, target = trained(1), net(2, classes=5)
    before: dict[str, Tensor] = {k: v.clone() for k, v in target.state_dict().items()}
    save_weights(pretrained_tensors(source, parts_of("decoder" if blocks else "encoder", blocks)), tmp_path / FILE)
    copied = load_pretrained(target, tmp_path / FILE, running_averages=averages)
    given = source.state_dict()
    kept = ("encoder.", *(f"decoder.blocks.{i}." for i in range(blocks)))
    for name, tensor in target.state_dict().items():
        if name.startswith(kept) and (averages or not is_average(name)):
            assert torch.equal(tensor, given[name])
            assert not torch.equal(tensor, before[name])
            assert name in copied
        else:
            assert torch.equal(tensor, before[name])
            assert name not in copied
    assert not any(name.startswith("head.") for name in copied)


def test_a_whole_network_is_handed_on_but_for_its_last_layer() -> None:
    names = set(pretrained_tensors(net(0), parts_of("network", 1)))
    assert set(net(0).state_dict()) - names == {"head.2.weight"}


def test_what_a_run_started_from_is_handed_on_as_well() -> None:
    """A decoder phase behind a network that was pretrained whole keeps the blocks that it does not train."""
    start = pretrained_tensors(net(0), parts_of("network", 1))
    assert set(pretrained_tensors(net(0), parts_of("decoder", 1), start)) == set(start)


def test_a_tensor_of_another_shape_is_named(tmp_path: Path) -> None:
    save_weights(pretrained_tensors(net(0), parts_of("decoder", 1)), tmp_path / FILE)
    wide = build_network(NetworkConfig(channels=[4, 6, 8, 10]), size=(32, 32), classes=3, seed=0)
    with pytest.raises(
        CorruptedError, match=r"weights.safetensors: \S+: expected shape \(\d+, 10, .*found shape \(\d+, 8, "
    ):
        load_pretrained(wide, tmp_path / FILE, running_averages=True)


@pytest.mark.parametrize("averages", [True, False])
def test_a_tensor_without_a_place_is_named(tmp_path: Path, averages: bool) -> None:
    save_weights({"encoder.other.weight": torch.zeros(2)}, tmp_path / FILE)
    with pytest.raises(
        CorruptedError, match=r"encoder.other.weight: expected no such tensor, found shape \(2,\) of float32"
    ):
        load_pretrained(net(0), tmp_path / FILE, running_averages=averages)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda t: t.half(), r"expected shape \(4,\) of float32, found shape \(4,\) of float16"),
        (lambda t: t * torch.nan, "expected finite numbers, found others"),
    ],
)
def test_a_tensor_of_another_type_or_without_numbers_is_named(
    tmp_path: Path, other: Callable[[Tensor], Tensor], said: str
) -> None:
    name = "encoder.blocks.0.0.0.bias"
    save_weights({name: other(net(0).state_dict()[name])}, tmp_path / FILE)
    with pytest.raises(CorruptedError, match=said):
        load_pretrained(net(0), tmp_path / FILE, running_averages=True)


@pytest.mark.parametrize("data", [b"", b"\xff" * 100, b"{}"])
def test_a_file_that_holds_no_weights_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(CorruptedError, match=r"weights.safetensors: expected weights as safetensors, found [^\n]+$"):
        load_pretrained(net(0), tmp_path / FILE, running_averages=True)


def test_frozen_means_without_gradient() -> None:
    found = net(0)
    freeze(found.encoder)
    found(torch.rand(2, 1, 32, 32)).sum().backward()
    assert all(p.grad is None for p in found.encoder.parameters())
    assert all(p.grad is not None for p in found.decoder.parameters())
