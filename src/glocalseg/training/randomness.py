"""Every random number comes from a generator made of (seed, purpose, step): a resumed run draws what it would have drawn."""

from __future__ import annotations

import hashlib

import torch


def seed_of(seed: int, purpose: str, step: int = 0) -> int:
    """A 63-bit seed from a run's seed, what the numbers are for, and the step."""
    text = f"{seed}/{purpose}/{step}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1


def generator(seed: int, purpose: str, step: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for (seed, purpose, step) on a device."""
    return torch.Generator(device=device).manual_seed(seed_of(seed, purpose, step))
