"""Where a run computes, how precisely, and on how many threads."""

from __future__ import annotations

import resource
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from glocalseg.training.compiled import Compiled, choose_backend, compile_step
from glocalseg.training.randomness import generator

Precision = Literal["auto", "float32", "bfloat16"]
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Device:
    """A device and the precision of its convolutions; losses and statistics are always float32.

    ``backend`` is what ``torch.compile`` compiles the steps by, None where they run as they are written.
    """

    device: torch.device
    precision: Literal["float32", "bfloat16"]
    threads: int
    backend: str | None = None

    def autocast(self) -> AbstractContextManager[Any]:
        """Context in which the network runs in this precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def place(self, net: nn.Module) -> None:
        """Move a network here in channels-last layout, in place."""
        net.to(self.device)
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def images(self, tensor: Tensor) -> Tensor:
        """A contiguous float32 copy here."""
        return tensor.to(self.device, torch.float32).contiguous()

    def compile(self, function: Callable[P, R]) -> Callable[P, R]:
        """A pure function of tensors as this device runs it: compiled, or as it is."""
        if self.backend is None:
            return function
        return compile_step(function, self.backend, cuda_graphs=self.device.type == "cuda")

    def generator(self, seed: int, purpose: str, step: int = 0) -> torch.Generator:
        """A fresh generator here, for (seed, purpose, step)."""
        return generator(seed, purpose, step, self.device)

    def begin_step(self) -> None:
        """Say that a step begins: what compiled functions returned in the last one may be overwritten from here on."""
        if self.backend is not None and self.device.type == "cuda":
            torch.compiler.cudagraph_mark_step_begin()

    def describe(self) -> dict[str, Any]:
        """Type, name, precision, threads and whether steps are compiled, for run.json."""
        cuda = self.device.type == "cuda"
        name = torch.cuda.get_device_name(self.device) if cuda else _processor()
        how = {"precision": self.precision, "threads": self.threads, "compiled": self.backend is not None}
        return {"type": self.device.type, "name": name, **how}

    def peak_memory_mb(self) -> float:
        """Peak memory in MB: of the GPU's allocator, or resident on a CPU."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def choose_device(precision: Precision, threads: int, *, compiled: Compiled = "never", steps: int = 0) -> Device:
    """The first GPU that this process sees, else the CPU; sets the number of CPU threads.

    Args:
        precision: ``auto`` is bfloat16 where the hardware multiplies it natively (CUDA 8.0 and up, CPUs with AMX or
            AVX512-BF16), else float32.
        threads: of the CPU.
        compiled: ``auto`` compiles a training on a GPU that is long enough to earn it back.
        steps: of the training; 0 where nothing is trained.

    Raises:
        ConfigError: ``compiled`` is ``always`` and no compiler works.
    """
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        _repeat_to_the_bit()
        device, native = torch.device("cuda"), torch.cuda.get_device_capability() >= (8, 0)
    else:
        device, native = torch.device("cpu"), multiplies_bfloat16()
    chosen = precision if precision != "auto" else ("bfloat16" if native else "float32")
    return Device(device, chosen, threads, choose_backend(compiled, device, steps))


def _repeat_to_the_bit() -> None:
    """Let CUDA take the same algorithms in the same order in every run."""
    torch.backends.cudnn.benchmark = False  # its choice of algorithm would differ from run to run
    torch.backends.cudnn.allow_tf32 = False  # float32 is to be float32; who wants speed has bfloat16
    torch.use_deterministic_algorithms(True, warn_only=True)
    # nothing here reads memory before it is written, and filling it would cost a kernel an allocation
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def multiplies_bfloat16() -> bool:
    """True on a CPU with instructions for bfloat16, in AMX tiles or AVX-512 (docs/decisions.md, Speed)."""
    return not {"amx_bf16", "avx512_bf16"}.isdisjoint(_cpuinfo("flags").split())


def _processor() -> str:
    return _cpuinfo("model name") or "CPU"


def _cpuinfo(field: str) -> str:
    path = Path("/proc/cpuinfo")
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        key, _, value = line.partition(":")
        if key.strip() == field:
            return value.strip()
    return ""
