"""Labels on the native grid from a trained network (docs/method.md 7)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

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
    """The predicted label of each volume, (depth, height, width) uint8 on its native grid.

    The probabilities go back to the native grid, zero outside the frame, and the largest wins there.
    """
    folded = inference_copy(net)
    table = store.volumes.set_index("volume")
    found = {}
    with torch.inference_mode():
        for group in _groups(volumes, table["depth"].to_dict()):
            images = torch.from_numpy(np.asarray(store.images[store.rows(group)]))[:, None]
            probabilities = torch.cat([_probabilities(folded, part, device) for part in images.split(BATCH)])
            depths = [int(table.at[v, "depth"]) for v in group]
            for volume, part in zip(group, probabilities.split(depths), strict=True):
                row = table.loc[volume]
                native = to_native(
                    part,
                    resampled=(int(row["resampled_height"]), int(row["resampled_width"])),
                    native=(int(row["height"]), int(row["width"])),
                )
                found[volume] = label_of(native).cpu().numpy()
    return found


def _groups(volumes: tuple[str, ...], depth: Mapping[str, int]) -> Iterator[list[str]]:
    """Volumes in order, in groups of a few batches, so that batches are full and memory stays bounded."""
    group: list[str] = []
    for volume in volumes:
        group.append(volume)
        if sum(depth[v] for v in group) >= 4 * BATCH:
            yield group
            group = []
    if group:
        yield group


def _probabilities(net: nn.Module, images: Tensor, device: Device) -> Tensor:
    with device.autocast():
        logits = net(device.images(images))
    return logits.float().softmax(dim=1)
