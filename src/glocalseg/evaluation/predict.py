"""Labels on the native grid from a trained network (docs/method.md 7)."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from glocalseg.data.slices.geometry_torch import label_of, to_native
from glocalseg.data.slices.store import SliceStore
from glocalseg.training.device import Device

BATCH = 128  # slices


def inference_copy(net: nn.Module) -> nn.Module:
    """A copy in inference mode whose batch norms are folded into the convolutions before them: fewer passes over the maps."""
    folded = copy.deepcopy(net).eval()
    for sequence in folded.modules():
        if isinstance(sequence, nn.Sequential):
            for i in range(len(sequence) - 1):
                convolution, norm = sequence[i], sequence[i + 1]
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    sequence[i], sequence[i + 1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    return folded


def predict(net: nn.Module, store: SliceStore, volumes: tuple[str, ...], device: Device) -> dict[str, NDArray[np.uint8]]:
    """The predicted label of each volume, (depth, height, width) uint8 on its native grid; it depends on that volume alone."""
    folded = inference_copy(net)
    found = {}
    for volume in volumes:
        known = store.known[volume]
        found[volume] = label_images(
            (folded,),
            np.asarray(store.images[store.rows([volume])]),
            resampled=(known.resampled_height, known.resampled_width),
            native=(known.height, known.width),
            device=device,
        )
    return found


def label_images(
    nets: Sequence[nn.Module],
    images: NDArray[np.float32],
    *,
    resampled: tuple[int, int],
    native: tuple[int, int],
    device: Device,
) -> NDArray[np.uint8]:
    """The label of one volume's slices on their native grid, (D, *native) uint8.

    The probabilities go back to the native grid, zero outside the frame; there the largest mean over the networks wins.

    Args:
        nets: in inference mode, of the same classes.
        images: (D, H, W) on the frame.
        resampled: rows and columns between resampling and crop or pad.
        native: rows and columns of the native grid.
    """
    labels = []
    with torch.inference_mode():
        for part in torch.from_numpy(images)[:, None].split(BATCH):
            summed = part.new_zeros(())  # the largest sum is the largest mean
            for net in nets:
                summed = to_native(_probabilities(net, part, device), resampled=resampled, native=native) + summed
            labels.append(label_of(summed).cpu())
    return torch.cat(labels).numpy()


def _probabilities(net: nn.Module, images: Tensor, device: Device) -> Tensor:
    with device.autocast():
        logits = net(device.images(images))
    return logits.float().softmax(dim=1)
