"""Losses without negatives: pairs agree, every value varies, no two values say the same; and what shows a collapse.

All take embeddings (N, D) of any floating type, one slice or pixel a row, and give float32 scalars; N is at least 2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

VARIANCE_EPS = 1e-4  # of VICReg, under the root of a variance
NORM_EPS = 1e-5  # of Barlow Twins, whose standardisation is a batch norm


def vicreg_loss(first: Tensor, second: Tensor, *, invariance: float, variance: float, covariance: float) -> Tensor:
    """VICReg of N pairs: weighted mean squared distance, and variance and covariance terms of both sides, added.

    Source: Bardes et al., VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning, ICLR 2022,
    arXiv 2105.04906, equation (6), with the distance divided by D as in its released code.
    """
    sides = (first.float(), second.float())
    return (
        invariance * F.mse_loss(*sides)
        + variance * (variance_term(sides[0]) + variance_term(sides[1]))
        + covariance * (covariance_term(sides[0]) + covariance_term(sides[1]))
    )


def vicreg_of_pairs(
    z: Tensor, pairs: Tensor, *, views: int, invariance: float, variance: float, covariance: float
) -> Tensor:
    """VICReg where a slice agrees with any number of others: ``vicreg_loss`` if the pairs are those of two views.

    Args:
        z: (N, D), view after view.
        pairs: (N, N) bool, symmetric: which rows agree; the diagonal is False. The mean distance is over them, the variance and
            covariance terms are twice the mean of those of each view.
        views: how many rows one slice has.
    """
    distance = (z.float()[:, None] - z.float()[None, :]).square().mean(dim=2)
    sides = z.chunk(views)
    return (
        invariance * distance.masked_fill(~pairs, 0.0).sum() / pairs.sum()
        + variance * 2 * torch.stack([variance_term(side) for side in sides]).mean()
        + covariance * 2 * torch.stack([covariance_term(side) for side in sides]).mean()
    )


def variance_term(z: Tensor) -> Tensor:
    """Mean over values of how far their standard deviation is below 1."""
    return F.relu(1 - (z.float().var(dim=0) + VARIANCE_EPS).sqrt()).mean()


def covariance_term(z: Tensor) -> Tensor:
    """Sum of the squared covariances of two different values, divided by D."""
    apart = z.float() - z.float().mean(dim=0)
    return _off_diagonal(apart.T @ apart / (len(z) - 1)).square().sum() / z.shape[1]  # torch.cov would wait for the device


def barlow_loss(first: Tensor, second: Tensor, *, off_diagonal: float) -> Tensor:
    """Barlow Twins of N pairs: correlations of a value with itself across the pair are to be 1, those of two values 0.

    Args:
        off_diagonal: weight of the second sum, lambda.

    Source: Zbontar et al., Barlow Twins: Self-Supervised Learning via Redundancy Reduction, ICML 2021, arXiv 2103.03230.
    """
    return decorrelation(standardised(first).T @ standardised(second) / len(first), off_diagonal=off_diagonal)


def barlow_of_pairs(z: Tensor, pairs: Tensor, *, views: int, off_diagonal: float) -> Tensor:
    """Barlow Twins where a slice agrees with any number of others: ``barlow_loss`` if the pairs are those of two views.

    Args:
        z, pairs, views: as in ``vicreg_of_pairs``. Values are standardised view by view, and correlations are over all pairs,
            each taken once, its earlier row first. One of a value with itself is at most 1 if the rows of a view are in equally
            many pairs.
        off_diagonal: as in ``barlow_loss``.
    """
    rows = torch.cat([standardised(side) for side in z.chunk(views)])
    once = pairs.triu(1).float()
    return decorrelation(rows.T @ once @ rows / once.sum(), off_diagonal=off_diagonal)


def standardised(z: Tensor) -> Tensor:
    """Each value with mean 0 and variance 1 over the N rows; zeros where it does not vary."""
    variance, mean = torch.var_mean(z.float(), dim=0, correction=0)
    return (z.float() - mean) * (variance + NORM_EPS).rsqrt()


def decorrelation(correlation: Tensor, *, off_diagonal: float) -> Tensor:
    """Squared distance of correlations (D, D) from the identity, with a weight for those of two different values."""
    own = (1 - correlation.diagonal()).square().sum()
    return own + off_diagonal * _off_diagonal(correlation).square().sum()


def _off_diagonal(matrix: Tensor) -> Tensor:
    return matrix - matrix.diagonal().diag()


def effective_rank(z: Tensor) -> Tensor:
    """How many directions the embeddings take up: exp of the entropy of the singular values, divided by their sum.

    Between 1 (all embeddings on one line through 0: a point is one, too) and min(N, D). No mean is subtracted: what rounding
    leaves of a point would have a high rank. Without a graph; for diagnostics, since singular values are waited for.

    Source: Roy and Vetterli, The effective rank, EUSIPCO 2007; of embeddings: Garrido et al., RankMe, ICML 2023, arXiv
    2210.02885.
    """
    values = torch.linalg.svdvals(z.detach().float())
    shares = values / values.sum().clamp(min=torch.finfo(torch.float32).tiny)
    return torch.special.entr(shares).sum().exp()


def deviation(z: Tensor) -> Tensor:
    """Mean over values of their standard deviation, of embeddings as they are, which VICReg's variance term holds at 1.

    0 where all embeddings are one point. A loss that does not see the scale of embeddings gives those of length 1.
    """
    return z.detach().float().std(dim=0).mean()
