"""Where a run computes, how precisely, and on how many threads."""

from __future__ import annotations

import resource
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Device:
    """A device and the precision of its convolutions; losses and statistics are always float32."""

    device: torch.device
    precision: Literal["float32", "bfloat16"]
    threads: int

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

    def describe(self) -> dict[str, Any]:
        """Type, name, precision and threads, for run.json."""
        cuda = self.device.type == "cuda"
        name = torch.cuda.get_device_name(self.device) if cuda else _processor()
        return {"type": self.device.type, "name": name, "precision": self.precision, "threads": self.threads}

    def peak_memory_mb(self) -> float:
        """Peak memory in MB: of the GPU's allocator, or resident on a CPU."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def choose_device(precision: Precision, threads: int) -> Device:
    """The first GPU that this process sees, else the CPU; sets the number of CPU threads.

    ``auto`` is bfloat16 where the hardware multiplies it natively (CUDA 8.0 and up, CPUs with AMX), else float32.
    """
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        device, native = torch.device("cuda"), torch.cuda.get_device_capability() >= (8, 0)
        torch.backends.cudnn.benchmark = False  # its choice of algorithm would differ from run to run
        torch.use_deterministic_algorithms(True, warn_only=True)
    else:
        device, native = torch.device("cpu"), has_amx()
    chosen = precision if precision != "auto" else ("bfloat16" if native else "float32")
    return Device(device, chosen, threads)


def has_amx() -> bool:
    """True on a CPU with AMX tiles for bfloat16."""
    return "amx_bf16" in _cpuinfo("flags").split()


def _processor() -> str:
    return _cpuinfo("model name") or "CPU"


def _cpuinfo(field: str) -> str:
    path = Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.is_file() else []:
        key, _, value = line.partition(":")
        if key.strip() == field:
            return value.strip()
    return ""
