"""Mixup: supervised, on weighted means of two slices and of their labels.

A comparison of the paper (docs/method.md 8).

Departures:
- Slices are mixed after their augmentation; where the paper mixes is not released.
- The two slices of a mean are drawn independently of one another from the batch, with a weight of their own, as in the
  authors' helper; with pairs: permutation the batch is mixed with a permutation of itself by one weight, as in the source.
- alpha is 0.1, the authors'; the source's range is 0.1 to 0.4 for natural images.

Source: Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018, arXiv 1710.09412; docs/method.md 8.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from glocalseg.methods.finetuning.regimes.labelled.supervised import Supervised


class Mixup(Supervised):
    """Supervised training whose batches are mixed.

    Options:
        alpha: weights are drawn from Beta(alpha, alpha); the smaller, the closer to 0 or 1.
        pairs: independent or permutation, see above.
    """

    alpha: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    pairs: Literal["independent", "permutation"] = "independent"

    def changed(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        n, device = len(images), generator.device
        if self.pairs == "independent":
            first, second = torch.randint(n, (2, n), generator=generator, device=device)
            weight = beta_weights(n, self.alpha, generator)
        else:
            first = torch.arange(n, device=device)
            second = torch.randperm(n, generator=generator, device=device)
            weight = beta_weights(1, self.alpha, generator)
        share = weight.view(-1, 1, 1, 1)
        return mixed(images, first, second, share), mixed(labels, first, second, share)


def beta_weights(n: int, alpha: float, generator: torch.Generator) -> Tensor:
    """(n,) float32 drawn from Beta(alpha, alpha), on the generator's device.

    A Beta variable is the share of one Gamma variable in the sum of two; in double precision, because at a small alpha both
    are often tiny.
    """
    shape = torch.full((n, 2), alpha, dtype=torch.float64, device=generator.device)
    gammas = torch._standard_gamma(shape, generator=generator)
    return (gammas[:, 0] / gammas.sum(dim=1)).float()


def mixed(values: Tensor, first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """``share`` of the rows ``first`` of (N, ...) values, and the rest of the rows ``second``."""
    return share * values[first] + (1 - share) * values[second]


METHOD = Mixup
