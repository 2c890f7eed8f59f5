"""The local contrastive loss: regions of decoder maps on a fixed 5 x 5 grid (docs/method.md 5.1, 5.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from glocalseg.config.model import ConfigError

SIDE = 5
# docs/method.md 5.1: anchor -> its negatives, as (row, column) of the grid, written as two digits. The order matters.
NEIGHBOURS = {
    "00": "02 11 12 20 21", "02": "00 04 11 13 22", "04": "02 12 13 23 24", "20": "00 11 22 40 31", "22": "11 13 31 33 20",
    "24": "04 22 44 13 33", "40": "20 21 42 31 32", "42": "22 40 44 31 33", "44": "23 24 42 33 32", "11": "00 02 20 22 13",
    "13": "02 04 11 22 24", "31": "20 22 40 42 33", "33": "22 24 42 44 31",
}  # fmt: skip
CORNERS_AND_EDGES = 9  # the first nine anchors are the 3 x 3 grid


def _number(code: str) -> int:
    return SIDE * int(code[0]) + int(code[1])


def neighbour_mask(per_anchor: int, anchors: int = 13) -> Tensor:
    """(25, 25) bool: row u holds the first ``per_anchor`` negatives of anchor u; rows of other regions are empty."""
    mask = torch.zeros(SIDE**2, SIDE**2, dtype=torch.bool)
    for anchor, negatives in list(NEIGHBOURS.items())[:anchors]:
        mask[_number(anchor), [_number(n) for n in negatives.split()[:per_anchor]]] = True
    return mask


def region_starts(side: int, region: int) -> list[int]:
    """First row (or column) of the five grid lines on a map of ``side`` pixels (docs/method.md 5.1). Raises ConfigError."""
    return [a * _span(side, region) // 4 for a in range(SIDE)]


def _span(side: int, region: int) -> int:
    """From the first grid line to the last. Raises ConfigError if the map is too small for five different regions."""
    span = side - 4 if region == 3 else side - 1
    if span < 4:
        raise ConfigError(
            f"pretrain_local: blocks: expected a decoder map of at least 8 x 8 for its regions, found side {side}"
        )
    return span


def region_vectors(maps: Tensor, region: int, project: Callable[[Tensor], Tensor] | None) -> Tensor:
    """The 25 regions of every map as unit vectors.

    Args:
        maps: (N, C, h, w).
        region: K, 1 or 3.
        project: shared projection of the flattened regions (D9), or None.

    Returns:
        (N, 25, D) float32 of length 1.
    """
    n, _, height, width = maps.shape
    # region_starts, computed on the device: a copy to it would be waited for
    lines, offsets = torch.arange(SIDE, device=maps.device), torch.arange(region, device=maps.device)
    rows, columns = ((lines * _span(side, region) // 4)[:, None] + offsets for side in (height, width))
    patches = maps[:, :, rows.view(SIDE, 1, region, 1), columns.view(1, SIDE, 1, region)]  # (N, C, 5, 5, K, K)
    vectors = patches.permute(0, 2, 3, 4, 5, 1).reshape(n, SIDE**2, -1)
    return F.normalize((vectors if project is None else project(vectors)).float(), dim=2)


@dataclass(frozen=True)
class Repulsion:
    """Which regions repel, on the maps' device: ``anchors`` (A,) int64 of 25, and the row of each, ``regions`` (A, 25) bool."""

    anchors: Tensor
    regions: Tensor

    @classmethod
    def of(cls, negatives: Tensor, device: torch.device | str = "cpu") -> Repulsion:
        """The rows of a strategy's (25, 25) bool ``negatives`` that are not empty."""
        anchors = negatives.any(dim=1).nonzero().squeeze(1)
        return cls(anchors.to(device), negatives[anchors].to(device))


def local_loss(vectors: Tensor, positives: Tensor, repulsion: Repulsion, *, temperature: float) -> Tensor:
    """Mean local contrastive loss over all ordered pairs of maps and all anchors.

    Args:
        vectors: (N, 25, D) float32 unit vectors of the regions of N maps.
        positives: (N, N) bool, pairs (anchor map, partner map): the same region of both is a positive pair.
        repulsion: for anchor u, the regions that repel it, in the anchor's and in the partner's map.
        temperature: tau > 0.

    Returns:
        Scalar float32. A batch without a pair gives nan, which stops the training with a named error.

    Source: docs/method.md 5.2, equation (3).
    """
    # a CPU computes the pairs that there are; how many, another device could only say after being waited for, and computes all
    pairs = _listed_pairs if vectors.device.type == "cpu" else _all_pairs
    return pairs(vectors, positives, repulsion, temperature)


def _listed_pairs(vectors: Tensor, positives: Tensor, repulsion: Repulsion, temperature: float) -> Tensor:
    first, second = positives.nonzero(as_tuple=True)
    # once per (map, anchor)
    own = _repelled(vectors[:, repulsion.anchors] @ vectors.transpose(1, 2) / temperature, repulsion)
    across = vectors[first][:, repulsion.anchors] @ vectors[second].transpose(1, 2) / temperature  # (P, A, 25)
    return _terms(own[first], across, repulsion).mean()


def _all_pairs(vectors: Tensor, positives: Tensor, repulsion: Repulsion, temperature: float) -> Tensor:
    own = _repelled(vectors[:, repulsion.anchors] @ vectors.transpose(1, 2) / temperature, repulsion)
    across = torch.einsum("iad,jrd->ijar", vectors[:, repulsion.anchors], vectors) / temperature  # (N, N, A, 25)
    terms = _terms(own[:, None], across, repulsion).masked_fill(~positives[:, :, None], 0.0)
    return terms.sum() / (positives.sum() * len(repulsion.anchors))


def _terms(own: Tensor, across: Tensor, repulsion: Repulsion) -> Tensor:
    """The loss of every pair and anchor (..., A), from what repels within the anchor's map and all similarities across."""
    each = torch.arange(len(repulsion.anchors), device=across.device)
    attracted = across[..., each, repulsion.anchors]
    repelled = torch.logaddexp(own, _repelled(across, repulsion))
    return torch.logaddexp(attracted, repelled) - attracted


def _repelled(logits: Tensor, repulsion: Repulsion) -> Tensor:
    return torch.logsumexp(logits.masked_fill(~repulsion.regions, -torch.inf), dim=-1)
