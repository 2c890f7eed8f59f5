"""Frozen features: a 1 x 1 convolution is trained on what a vision transformer, which stays as it is, makes of each slice.

The maps of the transformer's last blocks are joined, and the convolution's are enlarged to the frame. The transformer is that of
network.encoder with the weights of network.weights; its features are computed once for all repeats and budgets.

Departures:
- Slices are enlarged before the transformer cuts them into patches, as structures may be smaller than a patch.
- Nothing is augmented: features are those of the slices as they are.
- One convolution and no batch norm before it; the transformer's own last norm scales what it reads.

Source: Oquab et al., DINOv2: Learning robust visual features without supervision, TMLR 2024, arXiv 2304.07193, whose linear
segmentation on the last four blocks this is.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from glocalseg.config.settings import FinetuneConfig
from glocalseg.methods.finetuning.base import Regime, Slices
from glocalseg.methods.finetuning.losses import segmentation_loss
from glocalseg.training.device import Device
from glocalseg.training.task import EVERYTHING, Task


class Features(Regime):
    """Labelled slices drawn uniformly with replacement, by their features.

    Options:
        blocks: of how many of the last blocks the maps are joined.
        upsampling: how much slices are enlarged before they are cut into patches.
    """

    frozen: ClassVar[bool] = True  # it starts from features of slices, which a job of their own computes
    blocks: int = Field(default=4, ge=1)
    upsampling: float = Field(default=4.0, ge=1, le=16)

    def task(self, net: nn.Module, slices: Slices, device: Device, seed: int, config: FinetuneConfig) -> Task:
        """The head and its segmentation loss.

        Args:
            net: a ``networks.light_head.FeatureHead``.
            slices: ``images`` are features (n, 1, C, h, w) float16 or float32.
        """

        @device.compile
        def forward(shown: Tensor) -> Tensor:
            with device.autocast():
                return net(shown)

        def losses(step: int) -> dict[str, Tensor]:
            device.begin_step()
            draws = device.generator(seed, "finetune", step)
            index = torch.randint(len(slices.images), (config.batch,), generator=draws, device=draws.device)
            return {EVERYTHING: segmentation_loss(forward(slices.images[index].float()), slices.labels[index], config.loss)}

        return Task(nn.ModuleDict({"network": net.train()}), losses, forward, config.batch, net)


METHOD = Features
