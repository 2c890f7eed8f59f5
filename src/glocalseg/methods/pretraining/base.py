"""What a strategy of pretraining is: something that makes its own task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeVar

from torch import Tensor, nn

from glocalseg.config.model import Model
from glocalseg.config.settings import PretrainConfig
from glocalseg.methods.pretraining.batches.pool import Pool
from glocalseg.networks.build import initialise
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.device import Device
from glocalseg.training.randomness import seed_of
from glocalseg.training.task import Task

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Slices:
    """What pretraining sees, on the training device: ``images`` (n, 1, H, W) float32, and the same slices as a pool."""

    images: Tensor
    pool: Pool


class Pretext(Model):
    """One way to pretrain. Its fields are its options, by name in a benchmark, typed and bounded.

    The folder of its file says what it trains and hands on: ``encoder``; ``decoder``, the first blocks of it behind an encoder
    that is there already; or ``network``, all but the last layer.
    """

    unread: ClassVar[tuple[str, ...]] = ()  # settings that it does not read, by dotted path: they are in no key of its runs
    unet_only: ClassVar[bool] = False  # whether it trains no encoder but the U-Net's
    by_partition: ClassVar[tuple[int, int] | None] = None  # fewest volumes of a batch, views of a slice
    diagnostics: ClassVar[
        dict[str, str]
    ] = {}  # what of the log shows its known way of failing: name, and what to read from it

    def task(self, net: SegmentationNet, slices: Slices, device: Device, seed: int, config: PretrainConfig) -> Task:
        """What is to be trained.

        Args:
            net: on the device, with the weights that the run starts from. What of it the task trains is handed on, whatever
                else the task holds.
            seed: of the run; every random number comes from (seed, purpose, step), see ``Device.generator``.
            config: steps, images a step, views, ...; without the fields that ``unread`` names.

        Raises:
            ConfigError: if the network or the pool is too small for it.

        The task's losses may ask no tensor for its values (``.item()``, ``nonzero``, a bool index, ``if tensor``): the step would
        wait for the device.
        """
        raise NotImplementedError


def drawn(module: M, purpose: str, seed: int, device: Device) -> M:
    """A head with random weights of (seed, purpose), on the device."""
    initialise(module, seed_of(seed, purpose))
    device.place(module)
    return module
