"""What every strategy and every regime promises, whatever it does: a new file is found and tried here by itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glocalseg.config.model import ConfigError, Model
from glocalseg.config.settings import FinetuneConfig, PretrainConfig, ViewConfig
from glocalseg.methods.catalogue import Entry, options, regimes, strategies
from glocalseg.methods.finetuning.base import Regime
from glocalseg.methods.pretraining.base import Pretext, Slices
from glocalseg.networks.build import local_blocks
from glocalseg.networks.unet import SegmentationNet
from glocalseg.networks.weights import parts_of, pretrained_tensors
from glocalseg.training.device import Device
from glocalseg.training.task import Task
from methods.made_up import SIDE, finetuning_task, network, pool, pretrain_config, pretraining_task, trained, volumes

STRATEGIES, REGIMES = strategies(), regimes()
METHODS = {**STRATEGIES, **REGIMES}
# Read by the stage, the loop or the draw of the pool, not by a strategy's task.
READ_ELSEWHERE = {"learning_rate", "checkpoint_every", "partitions", "partition_bounds", "steps", "images"}
every_method = pytest.mark.parametrize("entry", METHODS.values(), ids=METHODS)
every_strategy = pytest.mark.parametrize("entry", STRATEGIES.values(), ids=STRATEGIES)


def made(entry: Entry, seed: int = 0) -> tuple[SegmentationNet, Task]:
    """A network of fixed weights, and the method's task that trains it."""
    build: Callable[..., tuple[SegmentationNet, Task]] = pretraining_task if entry.part else finetuning_task
    return build(entry.name, seed=seed)


def total(task: Task, step: int) -> Tensor:
    return sum(task.losses(step).values(), torch.zeros(()))


def lead(entry: Entry) -> int:
    """How many steps of ``made`` come before those that train its result."""
    method = entry.option_class()()
    return method.lead(FinetuneConfig(steps=6, batch=6)) if isinstance(method, Regime) else 0


# ---------------------------------------------------------------- what its file says


def test_the_names_and_symbols_are_different() -> None:
    assert len(METHODS) == len(STRATEGIES) + len(REGIMES)
    assert len({entry.symbol for entry in METHODS.values()}) == len(METHODS)


@every_method
def test_the_docstring_says_what_it_is_where_it_is_from_and_how_it_differs(entry: Entry) -> None:
    assert 1 <= len(entry.symbol) <= 20
    assert entry.sentence.endswith(".")
    assert len(entry.sentence) > 20
    assert len(entry.source) > 10
    assert all(departure.endswith(".") for departure in entry.departures)


@every_method
def test_the_class_is_what_the_text_of_its_file_says(entry: Entry) -> None:
    cls = entry.option_class()
    assert issubclass(cls, Pretext if entry.part else Regime)
    assert tuple(getattr(cls, "unread", ())) == entry.unread
    assert getattr(cls, "unlabelled", False) is entry.unlabelled
    assert getattr(cls, "unet_only", False) is entry.unet_only
    assert getattr(cls, "diagnostics", {}) == entry.diagnostics
    assert entry.path.is_file()


@every_method
def test_defaults_are_in_no_key_and_may_be_written_out(entry: Entry) -> None:
    assert options(entry, entry.option_class()().model_dump(), where="x") == {}


@every_method
def test_options_are_refused_by_name_in_one_line(entry: Entry) -> None:
    with pytest.raises(ConfigError) as refused:
        options(entry, {"no_such_option": 1}, where="here")
    said = str(refused.value)
    assert said.startswith("here: no_such_option: ")
    assert said.endswith(", found an unknown key")
    assert "\n" not in said
    assert all(name in said for name in entry.option_class().model_fields)


@every_method
def test_options_are_typed_and_bounded(entry: Entry) -> None:
    for name in entry.option_class().model_fields:
        for wrong in (["a list"], "no such value", math.inf, -math.inf, math.nan, -1e9):
            with pytest.raises(ConfigError) as refused:
                options(entry, {name: wrong}, where="here")
            assert str(refused.value).startswith(f"here: {name}: ")
            assert "\n" not in str(refused.value)


# ---------------------------------------------------------------- what it reads


def recording(base: type[Model], read: set[str], prefix: str = "") -> type[Model]:
    """A class of settings that notes which of them are asked for."""

    def ask(self: Model, name: str) -> Any:
        if name in base.model_fields:
            read.add(prefix + name)
        return base.__getattribute__(self, name)

    return type(base.__name__, (base,), {"__getattribute__": ask})


@every_strategy
def test_what_it_is_said_to_read_is_what_it_reads(entry: Entry) -> None:
    """Settings that ``unread`` names are gone: asking for one raises. All others are asked for; else keys would hold too much."""
    read: set[str] = set()
    config = pretrain_config(entry)
    there = {n for n in type(config).model_fields if n in config.__dict__} - READ_ELSEWHERE
    views = {f"views.{n}" for n in ViewConfig.model_fields if n in config.views.__dict__}
    watched = recording(type(config), read).model_construct(**config.__dict__)
    watched.__dict__.update(config.__dict__)
    for name in set(type(config).model_fields) - set(config.__dict__):
        watched.__dict__.pop(name, None)
    watched.__dict__["views"] = recording(ViewConfig, read, "views.").model_construct()
    for name in set(ViewConfig.model_fields) - set(config.views.__dict__):
        del watched.__dict__["views"].__dict__[name]
    assert isinstance(watched, PretrainConfig)
    strategy = entry.option_class()()
    assert isinstance(strategy, Pretext)
    cpu = Device(torch.device("cpu"), "float32", 1)
    shown = Slices(volumes()[0], pool(partitions=0 if "partitions" in entry.unread else 4))
    task = strategy.task(network(), shown, cpu, 0, watched)
    assert torch.isfinite(total(task, 0))
    task.after_step(0)
    assert read - READ_ELSEWHERE == there | views


def test_a_setting_that_is_said_to_be_unread_cannot_be_read() -> None:
    config = pretrain_config(STRATEGIES["rotation"])
    with pytest.raises(AttributeError):
        _ = config.temperature


# ---------------------------------------------------------------- what it trains


@every_method
def test_a_step_gives_every_optimiser_a_finite_loss(entry: Entry) -> None:
    _, task = made(entry)
    losses = task.losses(0)
    assert losses.keys() <= task.parameters().keys()
    for loss in losses.values():
        assert (loss.shape, loss.dtype) == (torch.Size([]), torch.float32)
        assert torch.isfinite(loss)


def handed_on(entry: Entry, net: SegmentationNet) -> set[str]:
    if not entry.part:
        return set(net.state_dict())
    return set(pretrained_tensors(net, parts_of(entry.part, local_blocks(net, None))))


@every_method
def test_what_of_the_network_gets_a_gradient_is_what_is_handed_on(entry: Entry) -> None:
    """Of a decoder's strategy also the encoder that it stands on, which it leaves as it is."""
    net, task = made(entry)
    total(task, lead(entry)).backward()
    expected = {n for n in handed_on(entry, net) if n in dict(net.named_parameters())}
    if entry.part == "decoder":
        expected = {n for n in expected if not n.startswith("encoder.")}
        assert not any(p.requires_grad for p in net.encoder.parameters())
    assert {n for n, p in net.named_parameters() if p.grad is not None} == expected


@every_method
def test_every_parameter_of_an_optimiser_gets_a_gradient(entry: Entry) -> None:
    _, task = made(entry)
    for step in {0, lead(entry)}:
        total(task, step).backward()
    optimised = {id(p): p for own in task.parameters().values() for p in own}
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in optimised.values())
    others = [p for p in task.modules.parameters() if id(p) not in optimised]
    assert all(p.grad is None for p in others)


@pytest.mark.parametrize(
    ("part", "inside", "outside"),
    [
        ("encoder", ["encoder.blocks.3.1.0.weight"], ["decoder.blocks.0.up.1.weight", "head.0.0.weight"]),
        ("decoder", ["encoder.blocks.0.0.0.weight", "decoder.blocks.0.up.1.weight"], ["decoder.blocks.1.up.1.weight"]),
        ("network", ["encoder.blocks.0.0.0.weight", "decoder.blocks.2.up.1.weight", "head.1.0.weight"], ["head.2.weight"]),
    ],
)
def test_what_a_part_hands_on(part: Any, inside: list[str], outside: list[str]) -> None:
    net = network()
    found = set(pretrained_tensors(net, parts_of(part, local_blocks(net, None))))
    assert set(inside) <= found
    assert not set(outside) & found
    assert set(inside) | set(outside) <= set(net.state_dict())


@every_method
def test_the_twins_forward_takes_as_many_images_as_a_step_and_trains_the_same(entry: Entry) -> None:
    _, task = made(entry)
    shown = torch.rand(task.images_per_step, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    task.forward(shown).float().square().mean().backward()
    assert all(p.grad is not None for own in task.parameters().values() for p in own)


@every_method
def test_the_result_is_a_segmentation_network_that_training_changes(entry: Entry, tmp_path: Path) -> None:
    net, task = made(entry)
    assert isinstance(task.result, SegmentationNet)
    before = {n: t.clone() for n, t in task.result.state_dict().items()}
    trained(task, tmp_path, lead(entry) + 3)
    changed = {n for n, t in task.result.state_dict().items() if not torch.equal(t, before[n])}
    if entry.part:
        assert task.result is net
        assert changed
        assert changed <= handed_on(entry, net)
    else:
        assert {n for n, _ in net.named_parameters()} <= changed | {n for n in before if n.endswith(".bias")}


@every_method
def test_its_diagnostics_are_those_that_it_declares_and_change_nothing(entry: Entry) -> None:
    """Asked after a step, they are finite numbers without a graph; asking leaves no trace in what is trained or drawn."""
    _, task = made(entry)
    task.losses(0)
    task.after_step(0)
    before = {n: t.clone() for n, t in task.modules.state_dict().items()}
    said = task.diagnostics()
    assert said.keys() == entry.diagnostics.keys()
    for value in said.values():
        assert value.shape == torch.Size([])
        assert torch.isfinite(value)
        assert not value.requires_grad
    assert all(text.endswith(".") for text in entry.diagnostics.values())
    assert all(torch.equal(t, before[n]) for n, t in task.modules.state_dict().items())


# ---------------------------------------------------------------- that it repeats


@every_method
def test_a_step_depends_on_seed_and_step_alone(entry: Entry) -> None:
    _, task = made(entry)
    first, again, other = (total(task, step) for step in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(total(made(entry)[1], 0), first)
    assert not torch.equal(total(made(entry, seed=1)[1], 0), first)


@every_method
def test_nothing_is_drawn_from_torchs_own_generator(entry: Entry) -> None:
    _, task = made(entry)
    before = torch.random.get_rng_state()
    task.losses(0)
    task.after_step(0)
    assert torch.equal(torch.random.get_rng_state(), before)


@every_method
def test_an_interrupted_run_ends_with_the_same_bits(entry: Entry, tmp_path: Path) -> None:
    """All state is in the task's modules: what goes on is another task, which gets them and nothing else."""
    whole = trained(made(entry)[1], tmp_path / "whole", 6)
    for broken_at in (3, 5):
        with pytest.raises(RuntimeError, match="the power went"):
            trained(made(entry)[1], tmp_path / "broken", 6, fail_at=broken_at)
    resumed = trained(made(entry)[1], tmp_path / "broken", 6)
    wanted, found = whole.modules.state_dict(), resumed.modules.state_dict()
    assert wanted.keys() == found.keys()
    assert [n for n, t in wanted.items() if not torch.equal(t, found[n])] == []
    results = whole.result.state_dict(), resumed.result.state_dict()
    assert all(torch.equal(t, results[1][n]) for n, t in results[0].items())
