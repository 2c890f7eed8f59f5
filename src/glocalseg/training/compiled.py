"""Whether a training runs compiled, and by what: kernels that depend on no timing, CUDA graphs on a GPU (docs/decisions.md)."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Literal, ParamSpec, TypeVar

import torch

from glocalseg.config.model import ConfigError

Compiled = Literal["auto", "never", "always"]
P = ParamSpec("P")
R = TypeVar("R")
WORTH_STEPS = 2000  # compiling costs up to a minute, which a shorter training does not earn back
INDUCTOR = "inductor"
WAY_OUT = "set network.compiled: never"


def choose_backend(wanted: Compiled, device: torch.device, steps: int) -> str | None:
    """What a training of ``steps`` steps is compiled by, None for not at all.

    ``auto`` compiles on CUDA, where it pays and the compiler works; where it does not work, it says why in one line.

    Raises:
        ConfigError: ``always`` without a compiler that works.
    """
    if wanted == "never" or steps == 0:
        return None
    if wanted == "auto" and (device.type != "cuda" or steps < WORTH_STEPS):
        return None
    torch._dynamo.reset()  # an earlier training of this process: its graphs hold memory, its functions count as recompiled
    problem = compiler_problem(device)
    if problem is None:
        return INDUCTOR
    if wanted == "always":
        raise ConfigError(f"network: compiled: expected a compiler that works on {device.type}, found {problem}; {WAY_OUT}")
    print(f"not compiled, slower: no compiler works on {device.type}: {problem}", file=sys.stderr, flush=True)
    return None


def compiler_problem(device: torch.device) -> str | None:
    """Why a function of one line, and its gradient, cannot be compiled for a device; None if it can."""
    x = torch.ones(8, device=device, requires_grad=True)
    try:
        torch.compile(lambda x: (x * x + 1).sum(), backend=INDUCTOR, dynamic=False)(x).backward()
    except Exception as error:  # whatever a missing Triton, C compiler, driver or writable folder comes up with
        return _said(error)
    return None


def compile_step(function: Callable[P, R], backend: str, *, cuda_graphs: bool) -> Callable[P, R]:
    """The function, compiled at its first call, its gradient with it.

    What it returns lives in the memory of its CUDA graph until the next step begins (``Device.begin_step``).

    Raises:
        ConfigError: at a call, if the compiler fails.
    """
    compiled = torch.compile(function, backend=backend, dynamic=False, options=_options(backend, cuda_graphs))

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return compiled(*args, **kwargs)
        except torch._dynamo.exc.TorchDynamoException as error:
            raise ConfigError(f"network: compiled: the compiler failed: {_said(error)}; {WAY_OUT}") from error

    return call


def _said(error: Exception) -> str:
    """Name and first line of an error, of the one that it wraps where torch says no more than that."""
    inner = getattr(error, "inner_exception", error)
    return f"{type(inner).__name__}: {str(inner).strip().splitlines()[0] if str(inner).strip() else 'no reason given'}"


def _options(backend: str, cuda_graphs: bool) -> dict[str, Any] | None:
    """What the mode ``reduce-overhead`` is, and no kernel chosen by its time where the choice would change a sum."""
    return {"triton.cudagraphs": cuda_graphs, "deterministic": True} if backend == INDUCTOR else None
