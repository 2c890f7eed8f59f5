"""Features of slices from a vision transformer that stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glocalseg.config.model import ConfigError
from glocalseg.config.settings import InputStatistics
from glocalseg.networks.timm_encoder import UNREADABLE, ensure_torchvision, filled, normalised, said


class FrozenFeatures(nn.Module):
    """The last blocks' maps of a timm vision transformer, joined, of enlarged slices; in inference mode and without gradient.

    Args:
        model: a vision transformer that ``timm.list_models()`` gives.
        size: (H, W) of the frame.
        blocks: from how many of the last blocks maps are taken.
        upsampling: how much a slice is enlarged before it is cut into patches; its sides become the nearest whole number of them.
        weights: a checkpoint of the whole model, or None for random weights.
        seed: of the random weights.
        statistics: mean and standard deviation that the weights expect of an image; None: images as they come.

    Raises:
        ConfigError: unknown model, none of patches, too few blocks, or a weights file that does not fit.
    """

    def __init__(
        self,
        model: str,
        *,
        size: tuple[int, int],
        blocks: int,
        upsampling: float,
        weights: Path | None,
        seed: int,
        statistics: InputStatistics | None,
    ) -> None:
        super().__init__()
        if ensure_torchvision() == "absent":
            raise ConfigError("network: encoder: timm needs torchvision, found none: install the extra 'timm'")
        import timm

        self.statistics, self.blocks = statistics, blocks
        options: dict[str, Any] = {"in_chans": 1, "num_classes": 0}
        with torch.random.fork_rng(devices=[]):  # timm draws from the global generator
            torch.manual_seed(seed)
            try:
                net: Any = timm.create_model(model, **options)
                patch, depth = net.patch_embed.patch_size, len(net.blocks)
                self.tokens = tuple(max(1, round(s * upsampling / p)) for s, p in zip(size, patch, strict=True))
                self.enlarged = tuple(n * p for n, p in zip(self.tokens, patch, strict=True))
                options["img_size"] = self.enlarged
                if weights is None:
                    torch.manual_seed(seed)
                    net = timm.create_model(model, **options)
            except UNREADABLE as error:
                raise ConfigError(
                    f"network: encoder: expected a vision transformer of timm, found {model!r}: {said(error)}"
                ) from None
            if blocks > depth:
                raise ConfigError(f"regimes.features: blocks: expected at most {depth} for {model!r}, found {blocks}")
            self.net = filled(model, options, weights) if weights is not None else net
        self.channels = blocks * net.embed_dim
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """(N, blocks * C, h, w) of images (N, 1, H, W) with intensities from 0 to 1; h and w are ``tokens``."""
        shown = F.interpolate(normalised(images, self.statistics), self.enlarged, mode="bilinear", align_corners=False)
        net: Any = self.net
        maps = net.forward_intermediates(shown, indices=self.blocks, norm=True, intermediates_only=True, output_fmt="NCHW")
        return torch.cat(maps, dim=1)
