"""Exported networks in memory: read, checked, rebuilt, ready to label images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from glocalseg.config.lines import shown
from glocalseg.config.model import ConfigError
from glocalseg.evaluation.predict import inference_copy
from glocalseg.models.about import ABOUT, WEIGHTS, About, ModelError, read_about
from glocalseg.models.repeats import require_repeats
from glocalseg.networks.build import build_network
from glocalseg.networks.unet import SegmentationNet
from glocalseg.networks.weights import read_tensors
from glocalseg.records.digest import digest, sha256_file
from glocalseg.records.sealed import CorruptedError
from glocalseg.training.device import Device, choose_device


@dataclass(frozen=True)
class TrainedModel:
    """One exported network, or several repeats of one, whose probabilities are averaged."""

    abouts: tuple[About, ...]
    nets: tuple[nn.Module, ...]
    device: Device

    @property
    def about(self) -> About:
        """What the repeats have in common, as the first says it: preparation, image, label values."""
        return self.abouts[0]

    @property
    def key(self) -> str:
        """Ten hex digits that stand for the weights."""
        return digest(sorted(about.weights for about in self.abouts))[:10]

    @classmethod
    def load(cls, folder: Path, *, threads: int | None = None) -> Self:
        """The model of an exported folder, or of all those one level below it; on the first GPU, else on the CPU.

        Args:
            threads: of the CPU; None: as many as the trainings had, with which all sums are as they were there.

        Raises:
            ModelError: if there is none, one is damaged, or they do not belong together.
        """
        folders = exported(folder)
        abouts = tuple(read_about(path) for path in folders)
        require_repeats(folders, abouts)
        # reading weights comes first: where one file is damaged, nothing was done yet
        states = [read_weights(path / WEIGHTS, about.weights) for path, about in zip(folders, abouts, strict=True)]
        nets = [rebuild(*of) for of in zip(abouts, states, folders, strict=True)]
        device = choose_device(abouts[0].network.precision, threads or abouts[0].threads)
        for net in nets:
            device.place(net)
        return cls(abouts, tuple(inference_copy(net) for net in nets), device)


def exported(folder: Path) -> list[Path]:
    """A folder itself if it is an exported one, else those one level below it that are.

    Raises:
        ModelError: if there is none, or there are others further below, as in a folder of several models.
    """
    if (folder / ABOUT).is_file():
        return [folder]
    found, further = (sorted(p.parent for p in folder.glob(f"{at}/{ABOUT}") if _is_shown(p, folder)) for at in ("*", "*/*"))
    if not found:
        hint = f" right in it or one level below; give one model, such as {further[0].parent}" if further else ""
        raise ModelError(f"{folder}: expected a folder that `make export` wrote, or several in it, found no {ABOUT}{hint}")
    if further:
        raise ModelError(
            f"{folder}: expected one model, found several, such as {found[0]} and {further[0].parent}: give one"
        )
    return found


def _is_shown(path: Path, folder: Path) -> bool:
    return not any(part.startswith(".") for part in path.relative_to(folder).parts)


def read_weights(path: Path, expected: str) -> dict[str, Tensor]:
    """The tensors of a file of weights whose sha256 is known. Raises ModelError."""
    try:
        found = sha256_file(path)
    except OSError as error:
        raise ModelError(
            f"{path}: expected weights as safetensors, found {type(error).__name__}: {error.strerror}"
        ) from None
    if found != expected:
        raise ModelError(f"{path}: expected sha256 {expected}, found {found}: the file was changed after it was written")
    try:
        return read_tensors(path)
    except CorruptedError as error:
        raise ModelError(str(error)) from None


def rebuild(about: About, weights: Mapping[str, Tensor], folder: Path) -> SegmentationNet:
    """The network that a description and its weights give; nothing is downloaded. Raises ModelError."""
    path, size = folder / WEIGHTS, about.preparation.frame.size
    if about.network.encoder == "unet":  # before anything of that size is made
        for i, channels in enumerate(about.network.channels[: about.network.levels]):
            _require_shape(path, weights, f"encoder.blocks.{i}.0.0.bias", (channels,))
    try:
        net = build_network(about.network, size=size, classes=about.preparation.classes, seed=0)
    except ConfigError as error:
        raise ModelError(f"{folder / ABOUT}: {error}") from None
    state = net.state_dict()
    for name, tensor in state.items():
        _require_shape(path, weights, name, tuple(tensor.shape))
    if more := sorted(weights.keys() - state.keys()):
        raise ModelError(f"{path}: expected the network's tensors alone, found {shown(more[0])} as well")
    if bad := [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]:
        raise ModelError(f"{path}: {bad[0]}: expected finite numbers, found others")
    net.load_state_dict(dict(weights))
    return net


def _require_shape(path: Path, weights: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> None:
    found = tuple(weights[name].shape) if name in weights else "no such tensor"
    if found != shape:
        raise ModelError(f"{path}: {name}: expected shape {shape}, found {found}")
