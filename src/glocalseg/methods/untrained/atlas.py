"""Atlas: the mean label of the labelled slices at the same place along the volume, whatever the image shows.

A control: it has no network, no training and no selection, and reads no voxel of an image. What a method scores above it
is what it has got from looking.

Departures:
- None: the definition is ours. Volumes are not registered; their slices are matched by relative position alone, as strategies
  with partitions match them.

Source: an atlas in the sense of Iglesias and Sabuncu, Multi-atlas segmentation of biomedical images: a survey, Medical Image
Analysis 24 (2015) 205, without registration; docs/method.md 8.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from glocalseg.config.model import Model


class Atlas(Model):
    """Labels by place alone.

    Options:
        width: slices no further away than this share of the volume's length are averaged; the nearest one where there is none.
    """

    width: float = Field(default=0.05, gt=0, le=1)

    def probabilities(
        self, labels: NDArray[np.uint8], known: NDArray[np.float64], wanted: NDArray[np.float64], *, classes: int
    ) -> Tensor:
        """Shares of each class at every pixel of the wanted slices, (D, classes, H, W) float32, summing to one.

        Args:
            labels: (n, H, W) class indices of labelled slices.
            known: (n,) their relative positions along their volumes, in (0, 1).
            wanted: (D,) the relative positions of the slices that are asked for.
            classes: how many there are, background included.

        Raises:
            ValueError: if there is no labelled slice.
        """
        if not len(labels):
            raise ValueError("atlas: expected a labelled slice, found none")
        one_hot = torch.nn.functional.one_hot(torch.from_numpy(labels.astype(np.int64)), classes).float()
        apart = np.abs(wanted[:, None] - known[None, :])
        near = apart <= np.maximum(self.width, apart.min(axis=1, keepdims=True))
        weights = torch.from_numpy((near / near.sum(axis=1, keepdims=True)).astype(np.float32))
        return torch.einsum("dn,nhwc->dchw", weights, one_hot)


METHOD = Atlas
