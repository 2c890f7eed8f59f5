"""No training step waits for its device: it asks no tensor for a value and copies nothing to or from it (docs/decisions.md).

Every step runs on torch's ``meta`` device, whose tensors have shapes and no values: whatever would have to know a value of the
device raises. What would be a copy between the host and the device is found by looking at every operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_benchmark import find, small_plan, task_of, write_data
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from glocalseg.methods.catalogue import LEVELS, regimes, strategies
from glocalseg.stages import opening
from glocalseg.training.device import Device
from glocalseg.training.task import Task

META = torch.device("meta")
GLOBAL = [name for name, entry in strategies().items() if entry.part in LEVELS["global"]]
LOCAL = [name for name, entry in strategies().items() if entry.part in LEVELS["local"]]
TRAINED = [name for name, entry in regimes().items() if not entry.frozen]  # the whole network, from images
JOBS = [
    *(("pretrain_global", name) for name in GLOBAL),
    *(("pretrain_local", f"gd+{name}") for name in LOCAL),
    *(("finetune", "random" if r == "supervised" else f"random+{r}") for r in TRAINED),
]
METHODS = [
    *({"global": name} for name in GLOBAL),
    *({"global": "gd", "local": name} for name in LOCAL),
    *({"regime": name} for name in TRAINED),
]
RELEASE = {
    "strategies": {"gd": dict.fromkeys(("zero_group", "views", "cross_views"), "release")},
    "pretrain_global": {"views": {"scalars": "release"}},
    "pretrain_local": {"region_projection": "release", "frozen_batchnorm": "paper", "views": {"scalars": "release"}},
    "finetune": {"loss": "dice_ce", "augment": {"intensity": "release"}},
}


class Waited(Exception):
    """An operation that would have waited for the device."""


class NoCopies(TorchDispatchMode):
    """Refuses operations on tensors of the host."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        if any(isinstance(t, Tensor) and t.device != META for t in tree_leaves((args, kwargs, found))):
            raise Waited(f"{function} of a tensor of the host")
        return found


class NoValues(TorchFunctionMode):
    """Refuses tensors made of numbers of the host, which the meta device would take without a copy."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (torch.tensor, torch.as_tensor, torch.asarray, torch.from_numpy):
            raise Waited(f"{function.__name__} copies from the host")
        if function in (Tensor.__getitem__, Tensor.__setitem__):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(part, list | np.ndarray) for part in index):
                raise Waited("an index of numbers is copied from the host")
        return function(*args, **(kwargs or {}))


class MetaGenerator(torch.Generator):
    """A generator that says that it is on the meta device, where nothing is drawn."""

    device = META  # type: ignore[assignment]


class MetaDevice(Device):
    """The meta device, without the autocast and the generators that torch does not have for it."""

    def generator(self, seed: int, purpose: str, step: int = 0) -> torch.Generator:
        return MetaGenerator()

    def autocast(self) -> AbstractContextManager[Any]:
        return nullcontext()


@contextmanager
def no_waiting() -> Iterator[None]:
    """Raise where the host would wait for the device."""
    with NoValues(), NoCopies():
        yield


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Task]:
    """A phase's task on the meta device."""
    monkeypatch.setattr(opening, "choose_device", lambda *_, **__: MetaDevice(META, "float32", 1))

    def task(phase: str, name: str, **changes: Any) -> Task:
        plan = small_plan(methods=METHODS, upper_bound=False, **changes)
        write_data(tmp_path, plan)
        return task_of(find(plan, phase, name), tmp_path, monkeypatch)[1]

    return task


@pytest.mark.parametrize("switches", ["paper", "release"])
@pytest.mark.parametrize(("phase", "name"), JOBS)
def test_a_step_waits_for_nothing(build: Callable[..., Task], phase: str, name: str, switches: str) -> None:
    task = build(phase, name, **(RELEASE if switches == "release" else {}))
    with no_waiting():
        losses = task.losses(0)
        sum(losses.values()).backward()  # type: ignore[union-attr]
        task.after_step(0)
    assert {(loss.shape, loss.device) for loss in losses.values()} == {(torch.Size([]), META)}


OFFENCES: dict[str, Callable[[Tensor, Tensor], object]] = {
    "item": lambda x, _: x.sum().item(),
    "float": lambda x, _: float(x.max()),
    "if": lambda x, _: 1 if (x > 0).all() else 0,
    "nonzero": lambda _, chosen: chosen.nonzero(),
    "bool index": lambda x, chosen: x[chosen],
    "unique": lambda x, _: x.unique(),
    "to the host": lambda x, _: x.cpu(),
    "from the host": lambda x, _: x + torch.zeros(3).to(META),
    "numbers of the host": lambda x, _: x * torch.tensor([1.0, 2.0, 3.0], device=META),
    "index of the host": lambda x, _: x[[0, 2]],
}


@pytest.mark.parametrize("offence", OFFENCES)
def test_a_wait_would_be_noticed(offence: str) -> None:
    x, chosen = torch.zeros(3, device=META), torch.zeros(3, dtype=torch.bool, device=META)
    with pytest.raises((Waited, RuntimeError, NotImplementedError)), no_waiting():
        OFFENCES[offence](x, chosen)
