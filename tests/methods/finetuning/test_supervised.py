"""Supervised training with an encoder at a rate of its own: at one, as ever; below, slower; at zero, not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from glocalseg.config.settings import FinetuneConfig, NetworkConfig
from glocalseg.methods.finetuning.base import Slices
from glocalseg.methods.finetuning.regimes.labelled.mixup import Mixup
from glocalseg.methods.finetuning.regimes.labelled.supervised import Supervised
from glocalseg.networks.build import build_network
from glocalseg.networks.unet import SegmentationNet
from glocalseg.stages.specs import Place
from glocalseg.training.device import choose_device
from glocalseg.training.loop import Schedule, train
from glocalseg.training.task import EVERYTHING

NETWORK = NetworkConfig(channels=[4, 6, 8], batchnorm_momentum=0.1, precision="float32")
CONFIG = FinetuneConfig(steps=4, batch=4)


def slices() -> Slices:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (6, 32, 32), generator=generator)
    one_hot = torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    return Slices(torch.rand(6, 1, 32, 32, generator=generator), one_hot, torch.zeros(0, 1, 32, 32))


def trained(regime: Supervised, folder: Path, steps: int = 4) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The network's tensors before and after a training."""
    net: SegmentationNet = build_network(NETWORK, size=(32, 32), classes=3, seed=1)
    before = {name: t.clone() for name, t in net.state_dict().items()}
    folder.mkdir(parents=True)
    task = regime.task(net, slices(), choose_device("float32", 1), 0, CONFIG)
    schedule = Schedule(0.01, steps)
    train(Place(folder / "run.json", "x"), task, steps=steps, schedule=schedule, checkpoint_every=2)
    assert task.result is net
    return before, dict(net.state_dict())


def moved(before: dict[str, Tensor], after: dict[str, Tensor], part: str) -> float:
    """The largest step of a part's parameters."""
    names = [n for n in before if n.startswith(part) and "running" not in n and "num_batches" not in n]
    return max(float((before[n] - after[n]).abs().max()) for n in names)


def test_at_one_rate_there_is_one_optimiser_as_ever(tmp_path: Path) -> None:
    net = build_network(NETWORK, size=(32, 32), classes=3, seed=1)
    task = Supervised().task(net, slices(), choose_device("float32", 1), 0, CONFIG)
    assert list(task.parameters()) == [EVERYTHING]
    assert list(task.modules) == ["network"]


@pytest.mark.parametrize("regime", [Supervised, Mixup])
def test_the_encoder_takes_steps_of_its_share_of_the_rate(regime: type[Supervised], tmp_path: Path) -> None:
    before, slow = trained(regime(encoder_rate=0.1), tmp_path / "slow", steps=1)
    _, usual = trained(regime(), tmp_path / "usual", steps=1)
    # Adam's first step is the rate, whatever the gradient
    assert moved(before, usual, "encoder.") == pytest.approx(0.01, rel=1e-3)
    assert moved(before, slow, "encoder.") == pytest.approx(0.001, rel=1e-3)
    assert moved(before, slow, "decoder.") == pytest.approx(0.01, rel=1e-3)
    decoder = [n for n in before if n.startswith(("decoder.", "head."))]
    assert all(torch.equal(slow[n], usual[n]) for n in decoder)  # the very gradient of one backward pass


def test_at_zero_the_encoder_stays_as_it_is_averages_included(tmp_path: Path) -> None:
    before, after = trained(Supervised(encoder_rate=0), tmp_path / "frozen")
    encoder = [n for n in before if n.startswith("encoder.")]
    assert any("running_mean" in n for n in encoder)
    assert all(torch.equal(before[n], after[n]) for n in encoder)
    assert moved(before, after, "decoder.") > 0


def test_the_log_shows_the_loss_once_for_all_and_once_for_the_encoder(tmp_path: Path) -> None:
    trained(Supervised(encoder_rate=0.5), tmp_path / "run")
    header, first, *_ = (tmp_path / "run/log.csv").read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert row["loss"] == row["loss_encoder"]


def test_a_run_with_two_rates_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    _, whole = trained(Supervised(encoder_rate=0.1), tmp_path / "whole")
    net = build_network(NETWORK, size=(32, 32), classes=3, seed=1)
    (tmp_path / "parts").mkdir()
    place = Place(tmp_path / "parts/run.json", "x")
    for steps in (2, 4):
        task = Supervised(encoder_rate=0.1).task(net, slices(), choose_device("float32", 1), 0, CONFIG)
        train(place, task, steps=steps, schedule=Schedule(0.01, 4), checkpoint_every=2)
        net = build_network(NETWORK, size=(32, 32), classes=3, seed=5) if steps == 2 else net
    assert all(torch.equal(t, net.state_dict()[name]) for name, t in whole.items())
