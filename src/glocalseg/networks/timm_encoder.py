"""Any timm backbone with ``features_only`` as an encoder.

timm imports torchvision, and torchvision's compiled half needs the CUDA libraries that its torch was built with. Beside
a CPU build of torch it cannot load, and then the import of torchvision fails although timm needs none of it. The shim
declares the two operator schemas that the import asks for; calling them still fails, as it should.
"""

from __future__ import annotations

import copy
import ctypes
import importlib.util
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from glocalseg.config.model import ConfigError

_LIBRARIES: list[torch.library.Library] = []  # a fragment's operators vanish with it


@cache
def ensure_torchvision() -> str:
    """Make ``import torchvision`` possible; returns ``absent``, ``native`` or ``schemas only``."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return "absent"
    for compiled in sorted(Path(spec.submodule_search_locations[0]).glob("_C*.so")):
        try:
            ctypes.CDLL(str(compiled))
        except OSError:
            continue
        return "native"
    fragment = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        fragment.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _LIBRARIES.append(fragment)
    return "schemas only"


class TimmEncoder(nn.Module):
    """A timm backbone's feature maps, finest first, for one input channel.

    Args:
        model: a name that ``timm.list_models()`` gives.
        size: (H, W) of the frame; levels whose map would be smaller than 2 x 2, or not whole, are left out.
        levels: how many of the remaining maps to use; all if None.
        weights: a checkpoint of the whole timm model (safetensors or pth), or None for random weights.
        seed: of the random weights.

    Raises:
        ConfigError: unknown model, no pyramid of maps, a weights file that does not fit, or a model that draws random numbers.
    """

    def __init__(self, model: str, *, size: tuple[int, int], levels: int | None, weights: Path | None, seed: int) -> None:
        super().__init__()
        if ensure_torchvision() == "absent":
            raise ConfigError("network: encoder: timm needs torchvision, found none: install the extra 'timm'")
        import timm

        source: dict[str, Any] = {"pretrained": weights is not None}
        if weights is not None:  # timm adapts the first convolution to one channel and drops the classifier
            source["pretrained_cfg_overlay"] = {"file": str(weights)}
        with torch.random.fork_rng(devices=[]):  # timm draws from the global generator
            torch.manual_seed(seed)
            try:
                info: Any = timm.create_model(model, pretrained=False, in_chans=1, features_only=True).feature_info
                there = info.reduction()
                usable = [i for i, r in enumerate(there) if all(s % r == 0 and s // r >= 2 for s in size)][:levels]
                self.net = timm.create_model(model, in_chans=1, features_only=True, out_indices=usable, **source)
                again = weights and timm.create_model(model, in_chans=1, features_only=True, out_indices=usable, **source)
            except (RuntimeError, AttributeError, AssertionError, KeyError, OSError) as error:
                found = f"{model!r} with weights {weights}" if weights else repr(model)
                raise ConfigError(
                    f"network: encoder: expected a timm model with features_only, found {found}: {error}"
                ) from None
        # timm leaves a tensor that the file lacks as it was drawn; what two drawings differ in did not come from the file
        if again and (drawn := [n for n, t in self.net.state_dict().items() if not torch.equal(t, again.state_dict()[n])]):
            raise ConfigError(f"network: weights: expected all of {model!r}, found none for {drawn[0]} in {weights}")
        if levels is not None and len(usable) < levels:
            raise ConfigError(f"network: levels: expected at most {len(usable)} for {model!r} and {size}, found {levels}")
        self.reductions = [there[i] for i in usable]
        if len(usable) < 2 or any(b != 2 * a for a, b in pairwise(self.reductions)):
            raise ConfigError(
                f"network: encoder: expected maps that halve at {size}, found {model!r} with reductions {there}"
            )
        self.channels = [info.channels()[i] for i in usable]
        if _draws_random_numbers(self.net, size):
            raise ConfigError(
                f"network: encoder: expected a model without dropout and stochastic depth, found {model!r}: what it draws while "
                "it trains comes from no generator of the run, which could be neither repeated nor resumed"
            )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps of (N, 1, H, W) images, finest first: (N, C_i, H / r_i, W / r_i)."""
        return list(self.net(images))


def _draws_random_numbers(net: nn.Module, size: tuple[int, int]) -> bool:
    """True if a network draws from torch's generator while it trains; tried, because models hide it in many kinds of layers."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        before = torch.random.get_rng_state()
        copy.deepcopy(net).train()(torch.zeros(2, 1, *size))  # a copy: batch norm's averages would move
        return not torch.equal(before, torch.random.get_rng_state())
