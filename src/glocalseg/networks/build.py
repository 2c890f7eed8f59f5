"""Networks from a configuration: sizes, random weights, and the number of decoder blocks."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from glocalseg.config.model import ConfigError
from glocalseg.config.settings import NetworkConfig
from glocalseg.networks.levels import unet_levels
from glocalseg.networks.unet import SegmentationNet, UNetEncoder


def build_network(
    config: NetworkConfig, *, size: tuple[int, int], classes: int, seed: int, weights: Path | None = None
) -> SegmentationNet:
    """A segmentation network with random weights that depend on the seed alone (D23: independent layers).

    Args:
        size: (H, W) of the frame in pixels.
        classes: number of classes, background included.
        weights: file with the weights of a timm encoder; None: random ones.

    Raises:
        ConfigError: if the encoder does not exist or does not fit the frame.
    """
    if config.encoder == "unet":
        levels = config.levels or unet_levels(size, len(config.channels))
        if levels > len(config.channels) or any(s % 2 ** (levels - 1) for s in size):
            raise ConfigError(
                f"network: levels: expected at most {unet_levels(size, len(config.channels))} for {size}, found {levels}"
            )
        encoder: nn.Module = UNetEncoder(config.channels[:levels], momentum=config.batchnorm_momentum)
        net = SegmentationNet(encoder, classes=classes, momentum=config.batchnorm_momentum)
        initialise(net, seed)
        return net
    # by name, where it is asked for: timm takes seconds to import, and its module is no part of a U-Net's code
    timm_encoder = importlib.import_module("glocalseg.networks.timm_encoder")
    encoder = timm_encoder.TimmEncoder(
        config.encoder.removeprefix("timm:"),
        size=size,
        levels=config.levels,
        weights=weights,
        seed=seed,
        statistics=config.input_statistics,
    )
    net = SegmentationNet(encoder, classes=classes, momentum=config.batchnorm_momentum)
    initialise(net.decoder, seed)
    initialise(net.head, seed + 1)
    return net


def local_blocks(net: SegmentationNet, wanted: int | None) -> int:
    """l of docs/method.md 5: decoder blocks of local pretraining; by default up to a quarter of the frame (3 of 5 in the paper).

    Raises:
        ConfigError: if the decoder has fewer blocks.
    """
    there = len(net.decoder.blocks)
    if wanted is not None and wanted > there:
        raise ConfigError(f"pretrain_local: blocks: expected at most {there} for this frame, found {wanted}")
    return wanted or max(1, there - 2)


def initialise(module: nn.Module, seed: int) -> None:
    """Draw all weights anew: He normal for convolutions, Glorot uniform for dense layers, biases 0 (docs/method.md 3.1)."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            fan_in = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
            _draw(layer.weight, torch.randn(layer.weight.shape, generator=generator) * math.sqrt(2 / fan_in))
        elif isinstance(layer, nn.Linear):
            limit = math.sqrt(6 / (layer.in_features + layer.out_features))
            _draw(layer.weight, (2 * torch.rand(layer.weight.shape, generator=generator) - 1) * limit)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _draw(weight: Tensor, values: Tensor) -> None:
    with torch.no_grad():
        weight.copy_(values)
