"""Vectorised draws of slices: at random, or one from every partition of some volumes (docs/method.md 4.2, 4.4)."""

from __future__ import annotations

import torch
from torch import Tensor

from glocalseg.config.model import ConfigError
from glocalseg.methods.pretraining.batches.pool import Pool


def random_slices(pool: Pool, n: int, generator: torch.Generator) -> Tensor:
    """(n,) indices into the pool, uniform with replacement."""
    return torch.randint(len(pool.row), (n,), generator=generator, device=pool.row.device)


def one_per_partition(pool: Pool, volumes: int, generator: torch.Generator) -> Tensor:
    """One uniform slice from every partition of distinct random volumes.

    Args:
        volumes: how many volumes.

    Returns:
        (volumes, S) indices into the pool.

    Raises:
        ConfigError: if the pool has fewer volumes.
    """
    if volumes > pool.volumes:
        raise ConfigError(
            f"images: expected a batch of at most {pool.volumes} volumes, the pretraining list, found {volumes}"
        )
    chosen = torch.randperm(pool.volumes, generator=generator, device=pool.row.device)[:volumes]
    partition = torch.arange(pool.partitions, device=pool.row.device)
    member = (pool.volume == chosen[:, None, None]) & (pool.partition == partition[None, :, None])
    # the largest of independent uniform numbers is a uniform choice among the members
    u = torch.rand(len(pool.row), generator=generator, device=pool.row.device)
    return torch.where(member, u, -1.0).argmax(dim=2)


def repeated(index: Tensor, views: int) -> tuple[Tensor, Tensor]:
    """Every slice of ``index`` once per view: (views * n,) indices and their view numbers, view after view."""
    flat = index.flatten()
    return flat.repeat(views), torch.arange(views, device=flat.device).repeat_interleave(len(flat))
