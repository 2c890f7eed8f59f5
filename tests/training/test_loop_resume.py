"""A training that is interrupted and goes on ends with the bits of one that was not."""

from __future__ import annotations

import csv
import json
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
from tasks import Here, task_of
from torch import Tensor, nn

from glocalseg.config.settings import NetworkConfig
from glocalseg.networks.build import build_network, initialise
from glocalseg.networks.unet import SegmentationNet
from glocalseg.records.sealed import write_record
from glocalseg.training import loop
from glocalseg.training.checkpoint import RECORD
from glocalseg.training.device import Device
from glocalseg.training.divergence import DivergedError
from glocalseg.training.loop import Interrupted, Schedule, train
from glocalseg.training.randomness import generator
from glocalseg.training.task import Task

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
        Here("a run", "key", folder), task_of(net, loss_of(net, at), 4), steps=STEPS, schedule=schedule, checkpoint_every=5,
         observer=seen, observe_every=4,
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
    write_record(record, {**json.loads(record.read_text()), "key": "old"})
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
        train(Here("a run", "key", tmp_path), task_of(net, loss), steps=8, schedule=Schedule(1e-3, 8), checkpoint_every=2)
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


# ---------------------------------------------------------------- several optimisers, and what happens after a step


class Duel(nn.Module):
    """Two modules with losses that pull each other, and a momentum copy of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.player, self.judge, self.copy = nn.Linear(3, 2), nn.Linear(2, 1), nn.Linear(3, 2)
        for i, module in enumerate((self.player, self.judge, self.copy)):
            initialise(module, i)
        self.copy.requires_grad_(False)


def duel(nets: Duel, at: dict[int, Callable[[], object]] | None = None) -> Task:
    """The player wants the judge to say much, the judge little, every second step; the copy follows the player."""

    def losses(step: int) -> dict[str, Tensor]:
        if at and step in at:
            at[step]()
        said = nets.judge(nets.player(torch.randn(4, 3, generator=generator(5, "duel", step))))
        found = {"player": (1 - said).square().mean()}
        return found | ({"judge": said.square().mean()} if step % 2 else {})

    def follow(step: int) -> None:
        with torch.no_grad():
            for kept, new in zip(nets.copy.parameters(), nets.player.parameters(), strict=True):
                kept.lerp_(new, 1 / (step + 2))

    modules = nn.ModuleDict({"player": nets.player, "judge": nets.judge, "copy": nets.copy})
    optimised = {"player": ("player",), "judge": ("judge",)}
    return Task(modules, losses, nets.player, 4, nets.copy, optimised=optimised, after_step=follow)


def fight(folder: Path, at: dict[int, Callable[[], object]] | None = None) -> dict[str, Tensor]:
    nets = Duel()
    train(Here("a duel", "key", folder), duel(nets, at), steps=STEPS, schedule=Schedule(1e-2, STEPS), checkpoint_every=5)
    return nets.state_dict()


def slow_fight() -> dict[str, Tensor]:
    """The same written out: each optimiser sees the gradient of its own loss, both taken before either steps."""
    nets = Duel()
    task = duel(nets)
    optimisers = {n: torch.optim.Adam(getattr(nets, n).parameters(), lr=1e-2, fused=True) for n in ("player", "judge")}
    for step in range(STEPS):
        gradients = {
            name: torch.autograd.grad(loss, list(getattr(nets, name).parameters()))
            for name in task.losses(step)
            for loss in [task.losses(step)[name]]
        }
        for name, values in gradients.items():
            for p, g in zip(getattr(nets, name).parameters(), values, strict=True):
                p.grad = g
            optimisers[name].step()
        task.after_step(step)
    return nets.state_dict()


def test_every_optimiser_follows_its_own_loss(tmp_path: Path) -> None:
    assert same(fight(tmp_path), slow_fight())


def test_several_losses_have_columns_of_their_own(tmp_path: Path) -> None:
    fight(tmp_path)
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert list(rows[0]) == ["step", "loss_player", "loss_judge", "learning_rate", "images_per_second"]
    assert rows[0]["loss_judge"] == ""  # it had none yet
    assert float(rows[-1]["loss_player"]) > 0


def stages(nets: Duel, at: dict[int, Callable[[], object]]) -> Task:
    """The judge learns in the first half, the player in the second."""
    both = duel(nets, at)

    def losses(step: int) -> dict[str, Tensor]:
        name, number = ("judge", 2 * step + 1) if step < STEPS // 2 else ("player", step)
        return {name: both.losses(number)[name]}

    return Task(both.modules, losses, both.forward, 4, nets.copy, optimised=both.optimised)


@pytest.mark.parametrize("step", [None, STEPS // 2, STEPS - 1])
def test_a_loss_of_an_earlier_stage_is_in_no_later_row(tmp_path: Path, step: int | None) -> None:
    """Whether the training was interrupted or not."""
    for at in ({}, {}) if step is None else ({step: fail}, {}):
        try:
            train(
                Here("a duel", "key", tmp_path), stages(Duel(), at), steps=STEPS, schedule=Schedule(1e-2, STEPS),
                checkpoint_every=1,
            )  # fmt: skip
        except RuntimeError:
            assert at
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    half = STEPS // 2
    assert [bool(r["loss_judge"]) for r in rows] == [True] * half + [False] * half
    assert [bool(r["loss_player"]) for r in rows] == [False] * half + [True] * half


@pytest.mark.parametrize("step", [0, 4, 5, 8, 11])
def test_second_networks_and_momentum_copies_are_resumed_to_the_bit(tmp_path: Path, step: int) -> None:
    whole = fight(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="the power went"):
        fight(tmp_path / "broken", {step: fail})
    assert same(fight(tmp_path / "broken"), whole)
    assert not torch.equal(whole["copy.weight"], whole["player.weight"])


def test_the_loss_that_is_no_number_is_named(tmp_path: Path) -> None:
    nets = Duel()
    good = duel(nets)

    def losses(step: int) -> dict[str, Tensor]:
        return {n: v * math.nan if n == "judge" and step == 3 else v for n, v in good.losses(step).items()}

    bad = Task(good.modules, losses, good.forward, 4, nets, optimised=good.optimised)
    with pytest.raises(DivergedError, match=r"step 4: expected a finite loss of 'judge', found nan"):
        train(Here("a duel", "key", tmp_path), bad, steps=8, schedule=Schedule(1e-3, 8), checkpoint_every=8)
