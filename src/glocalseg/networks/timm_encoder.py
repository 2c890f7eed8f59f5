"""Any timm backbone with ``features_only`` as an encoder.

timm imports torchvision, and torchvision's compiled half needs the CUDA libraries that its torch was built with. Beside
a CPU build of torch it cannot load, and then the import of torchvision fails although timm needs none of it. The shim
declares the two operator schemas that the import asks for; calling them still fails, as it should.
"""

from __future__ import annotations

import copy
import ctypes
import importlib.util
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from glocalseg.config.lines import one_line, shortened
from glocalseg.config.model import ConfigError
from glocalseg.config.settings import InputStatistics

SHOWN = 300  # letters of another error in a message
# what timm, safetensors and torch raise for a file that is no checkpoint, or for one of another model
UNREADABLE = (
    RuntimeError,
    AttributeError,
    AssertionError,
    LookupError,
    OSError,
    ValueError,
    TypeError,
    EOFError,
    SafetensorError,
    pickle.UnpicklingError,
)
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
        statistics: mean and standard deviation that the weights expect of an image; None: images as they come.

    Raises:
        ConfigError: unknown model, no pyramid of maps, a weights file that does not fit, or a model that draws random numbers.
    """

    def __init__(
        self,
        model: str,
        *,
        size: tuple[int, int],
        levels: int | None,
        weights: Path | None,
        seed: int,
        statistics: InputStatistics | None = None,
    ) -> None:
        super().__init__()
        self.statistics = statistics
        if ensure_torchvision() == "absent":
            raise ConfigError("network: encoder: timm needs torchvision, found none: install the extra 'timm'")
        import timm

        options: dict[str, Any] = {"in_chans": 1, "features_only": True}
        with torch.random.fork_rng(devices=[]):  # timm draws from the global generator
            torch.manual_seed(seed)
            try:
                info: Any = timm.create_model(model, **options).feature_info
                there = info.reduction()
                usable = [i for i, r in enumerate(there) if all(s % r == 0 and s // r >= 2 for s in size)][:levels]
                options["out_indices"] = usable
                if weights is None:
                    self.net = timm.create_model(model, **options)
            except (RuntimeError, AttributeError, AssertionError, KeyError) as error:
                raise ConfigError(
                    f"network: encoder: expected a timm model with features_only, found {model!r}: {said(error)}"
                ) from None
            if weights is not None:
                self.net = filled(model, options, weights)
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
        return list(self.net(normalised(images, self.statistics)))


def normalised(images: Tensor, statistics: InputStatistics | None) -> Tensor:
    """Images with intensities from 0 to 1 as bought-in weights expect them; as they are without statistics."""
    if statistics is None:
        return images
    mean, deviation = statistics
    return (images - mean) / deviation


def require_checkpoint(model: str, weights: Path) -> None:
    """Raise ConfigError if a file is no checkpoint of a whole timm model."""
    if ensure_torchvision() == "absent":
        raise ConfigError("network: encoder: timm needs torchvision, found none: install the extra 'timm'")
    import timm

    if not timm.is_model(model):
        raise ConfigError(f"network: encoder: expected a timm model, found {model!r}")
    with torch.random.fork_rng(devices=[]):
        filled(model, {"in_chans": 1, "num_classes": 0}, weights)


def filled(model: str, options: dict[str, Any], weights: Path) -> nn.Module:
    """A timm model, made with these options, with all of its weights from a file. Raises ConfigError."""
    import timm

    # timm adapts the first convolution to one channel and drops the classifier
    options = {**options, "pretrained": True, "pretrained_cfg_overlay": {"file": str(weights)}}
    try:
        with _missing() as missing:
            net, again = timm.create_model(model, **options), timm.create_model(model, **options)
    except UNREADABLE as error:
        raise ConfigError(
            f"network: weights: expected a checkpoint of {model!r}, found {weights}, which is none: {said(error)}"
        ) from None
    state: dict[str, Tensor] = net.state_dict()
    own = {name.replace(".", "_") for name in state}  # timm writes some names so where it takes a model apart
    if lacking := [name for name in missing if name.replace(".", "_") in own]:  # others are of the classifier
        raise ConfigError(f"network: weights: expected all of {model!r}, found none for {lacking[0]} in {weights}")
    # some models fill themselves otherwise; what two drawings differ in did not come from the file
    for name, other in again.state_dict().items():
        if not torch.isfinite(state[name]).all():
            raise ConfigError(f"network: weights: expected finite numbers, found others for {name} in {weights}")
        if not torch.equal(state[name], other):
            raise ConfigError(f"network: weights: expected all of {model!r}, found none for {name} in {weights}")
    return net


@contextmanager
def _missing() -> Iterator[list[str]]:
    """Names that a model finds no tensor for while it is filled: timm leaves what a file lacks as it was drawn, and goes on."""
    names: list[str] = []
    real = nn.Module.load_state_dict

    def noted(*args: Any, **options: Any) -> Any:
        found = real(*args, **options)
        names.extend(found.missing_keys)
        return found

    nn.Module.load_state_dict = noted  # type: ignore[method-assign]
    try:
        yield names
    finally:
        nn.Module.load_state_dict = real  # type: ignore[method-assign]


def said(error: Exception) -> str:
    """The beginning of what timm or torch says, which may be many lines."""
    return one_line(shortened(" ".join(str(error).split()) or type(error).__name__))[:SHOWN]


def _draws_random_numbers(net: nn.Module, size: tuple[int, int]) -> bool:
    """True if a network draws from torch's generator while it trains; tried, because models hide it in many kinds of layers."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        before = torch.random.get_rng_state()
        copy.deepcopy(net).train()(torch.zeros(2, 1, *size))  # a copy: batch norm's averages would move
        return not torch.equal(before, torch.random.get_rng_state())
