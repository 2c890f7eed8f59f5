"""A training that is interrupted and goes on ends with the bits of one that was not (DESIGN.md 5)."""

from __future__ import annotations

import csv
import math
import os
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glocalseg.config import NetworkConfig
from glocalseg.networks.build import build_network, initialise
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training import loop
from glocalseg.training.checkpoint import RECORD
from glocalseg.training.device import Device
from glocalseg.training.divergence import DivergedError
from glocalseg.training.loop import Interrupted, Job, Schedule, train
from glocalseg.training.randomness import generator

STEPS = 12
CPU = Device(torch.device("cpu"), "float32", 1)


class Remember:
    """An observer with tensors and numbers to save."""

    def __init__(self, net: nn.Module) -> None:
        self.net, self.seen, self.copy = net, [], {}  # type: ignore[var-annotated]

    def observe(self, step: int) -> None:
        self.seen.append([step, float(next(self.net.parameters()).detach().sum())])
        self.copy = {"first": next(self.net.parameters()).detach().clone()}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return self.copy, {"seen": self.seen}

    def restore(self, tensors: dict[str, Tensor], rest: dict[str, Any]) -> None:
        self.copy, self.seen = tensors, rest["seen"]


def network(frozen: bool = False) -> SegmentationNet:
    net = build_network(NetworkConfig(channels=[4, 6, 8]), size=(16, 16), classes=3, seed=7)
    CPU.place(net)
    if frozen:
        for p in net.encoder.parameters():
            p.requires_grad_(False)
    return net


def loss_of(net: nn.Module, at: dict[int, Callable[[], object]] | None = None) -> Callable[[int], Tensor]:
    def loss(step: int) -> Tensor:
        net.train()
        g = generator(3, "test", step)
        images = torch.randn(4, 1, 16, 16, generator=g)
        target = torch.randint(3, (4, 16, 16), generator=g)
        if at and step in at:
            at[step]()
        return F.cross_entropy(net(images), target)

    return loss


def run(folder: Path, *, frozen: bool = False, at: dict[int, Callable[[], object]] | None = None) -> tuple[Any, ...]:
    net = network(frozen)
    seen = Remember(net)
    schedule = Schedule(1e-2, STEPS, cosine=True, warmup=0.25)
    numbers = train(
        Job("a run", "key", folder), net, loss_of(net, at), steps=STEPS, schedule=schedule, images_per_step=4,
        checkpoint_every=5, observer=seen, observe_every=4,
    )  # fmt: skip
    return net.state_dict(), seen, numbers


def fail() -> None:
    raise RuntimeError("the power went")


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def log(folder: Path) -> list[list[str]]:
    return [row[:3] for row in csv.reader((folder / "log.csv").open())]


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("step", [0, 4, 5, 7, 11])
def test_an_exception_costs_the_steps_since_the_checkpoint_and_no_bit(tmp_path: Path, step: int, frozen: bool) -> None:
    whole, seen, _ = run(tmp_path / "whole", frozen=frozen)
    with pytest.raises(RuntimeError, match="the power went"):
        run(tmp_path / "broken", frozen=frozen, at={step: fail})
    first: list[int] = []
    found, resumed, _ = run(tmp_path / "broken", frozen=frozen, at={s: lambda s=s: first.append(s) for s in range(STEPS)})
    assert first[0] == step // 5 * 5
    assert same(found, whole)
    assert resumed.seen == seen.seen
    assert same(resumed.copy, seen.copy)
    assert log(tmp_path / "broken") == log(tmp_path / "whole")


@pytest.mark.parametrize("step", [0, 3, 4, 7, 11])
def test_sigterm_saves_and_leaves_with_its_status(tmp_path: Path, step: int) -> None:
    before = signal.getsignal(signal.SIGTERM)
    whole, seen, _ = run(tmp_path / "whole")
    with pytest.raises(Interrupted) as told:
        run(tmp_path / "broken", at={step: terminate})
    assert told.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    steps: list[int] = []
    found, resumed, _ = run(tmp_path / "broken", at={s: lambda s=s: steps.append(s) for s in range(STEPS)})
    assert steps == list(range(step + 1, STEPS))  # the step that was running was finished and is not lost
    assert same(found, whole)
    assert resumed.seen == seen.seen
    assert log(tmp_path / "broken") == log(tmp_path / "whole")


def test_twice_interrupted(tmp_path: Path) -> None:
    whole, _, _ = run(tmp_path / "whole")
    for step in (2, 9):
        with pytest.raises(Interrupted):
            run(tmp_path / "broken", at={step: terminate})
    found, _, (seconds, _) = run(tmp_path / "broken")
    assert same(found, whole)
    assert seconds > 0


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    whole, seen, (seconds, rate) = run(tmp_path)
    found, again, (after, same_rate) = run(tmp_path, at=dict.fromkeys(range(STEPS), fail))
    assert same(found, whole)
    assert again.seen == seen.seen
    assert after >= 0.5 * seconds  # the time until the last checkpoint is counted on
    assert same_rate == rate


def test_the_optimiser_continues_and_does_not_start_again(tmp_path: Path) -> None:
    """Without Adam's moments the end differs: otherwise the tests above could not notice that they are lost."""
    whole, _, _ = run(tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(tmp_path / "broken", at={5: terminate})
    kept = loop.restore_optimiser
    try:
        loop.restore_optimiser = lambda *_: None  # type: ignore[assignment]
        found, _, _ = run(tmp_path / "broken")
    finally:
        loop.restore_optimiser = kept
    assert not same(found, whole)


def test_frozen_parameters_stay(tmp_path: Path) -> None:
    before = {k: v.clone() for k, v in network().state_dict().items()}
    found, _, _ = run(tmp_path, frozen=True)
    for name, _ in network().encoder.named_parameters():
        assert torch.equal(found[f"encoder.{name}"], before[f"encoder.{name}"])
    assert not torch.equal(found["head.2.weight"], before["head.2.weight"])


def test_a_state_of_another_key_is_refused_with_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, at={6: terminate})
    record = tmp_path / RECORD
    record.write_text(record.read_text().replace('"key": "key"', '"key": "old"'))
    steps: list[int] = []
    run(tmp_path, at={s: lambda s=s: steps.append(s) for s in range(STEPS)})
    assert steps[0] == 0
    assert "expected the state of key, found that of old: the run starts from its beginning" in capsys.readouterr().err


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_with_a_named_error(tmp_path: Path, bad: float) -> None:
    net = nn.Linear(2, 2)
    initialise(net, 0)

    def loss(step: int) -> Tensor:
        return net(torch.ones(1, 2)).sum() * (bad if step == 3 else 1.0)

    with pytest.raises(DivergedError, match=r"a run: step 4: expected a finite loss, found (nan|-?inf)"):
        train(Job("a run", "key", tmp_path), net, loss, steps=8, schedule=Schedule(1e-3, 8), images_per_step=1,
              checkpoint_every=2)  # fmt: skip
    assert (tmp_path / "resume-2.safetensors").is_file()


def test_constant_schedule() -> None:
    assert {Schedule(0.1, 10)(s) for s in range(10)} == {0.1}


def test_cosine_schedule_warms_up_and_ends_near_zero() -> None:
    rates = [Schedule(1.0, 100, cosine=True, warmup=0.1)(s) for s in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert 0 < rates[-1] < 1e-3


def test_cosine_without_warmup_starts_at_the_peak() -> None:
    assert Schedule(2.0, 4, cosine=True)(0) == 2.0
    assert Schedule(2.0, 1, cosine=True, warmup=0.9)(0) == 2.0


def test_the_log_has_the_schedule_and_the_loss(tmp_path: Path) -> None:
    run(tmp_path)
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [int(r["step"]) for r in rows] == list(range(1, STEPS + 1))
    schedule = Schedule(1e-2, STEPS, cosine=True, warmup=0.25)
    assert [float(r["learning_rate"]) for r in rows] == pytest.approx([schedule(s) for s in range(STEPS)])
    assert all(float(r["loss"]) > 0 and float(r["images_per_second"]) > 0 for r in rows)
