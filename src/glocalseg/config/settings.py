"""How networks are built and trained: every value that shapes a number, with its default.

``paper`` and ``release`` name the two sides of a difference between the paper and the authors' code (docs/method.md, D1 to D26).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from glocalseg.config.model import LATER, MACHINERY, Model, Name, Percent, Quirk

MOST_THREADS = 1024  # of one job: torch asks for memory for each, before it looks how many cores there are


Deviation = Annotated[float, Field(gt=0)]
InputStatistics = tuple[float, Deviation]


class NetworkConfig(Model):
    """``encoder`` is ``unet`` (docs/method.md 3) or ``timm:<model>``; ``levels`` adapts to the frame when left out."""

    encoder: str = Field(default="unet", pattern=r"^(unet|timm:[A-Za-z0-9_.]+)$")
    channels: list[Annotated[int, Field(ge=1)]] = Field(
        default=[16, 32, 64, 128, 128, 128], min_length=2, description="of the U-Net's levels, finest first"
    )
    levels: int | None = Field(default=None, ge=2)
    weights: str | None = Field(
        default=None,
        description="bought-in weights of the timm encoder: name of a card in config/weights, or path of a safetensors file",
    )
    input_statistics: Annotated[InputStatistics | None, LATER] = Field(
        default=None,
        description="mean and standard deviation that the timm encoder's weights expect of an image; a card says them itself",
    )
    batchnorm_momentum: float = Field(
        default=0.01,
        gt=0,
        le=1,
        description="share of the newest batch in the running averages; raise it for short trainings",
    )
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compiled: Literal["auto", "never", "always"] = Field(
        default="auto",
        description="auto: on a GPU, for trainings long enough to earn the compiler's minute back",
    )


class ViewConfig(Model):
    """Views of pretraining (docs/method.md 4.3): crop side as a share of the frame, brightness and contrast half-widths."""

    crop: float = Field(default=100 / 192, gt=0, le=1)
    crop_start: tuple[float, float] = Field(
        default=(10 / 192, 69 / 192),
        description="range of a crop's top and left edge as shares; kept inside the frame (D26)",
    )
    brightness: float = Field(default=0.3, ge=0)
    contrast: float = Field(default=0.3, ge=0, lt=1)
    clip: tuple[float, float] = (0.0, 1.5)
    scalars: Quirk = Field(default="paper", description="D6: release draws one scalar a batch with f = 1 + delta")


class PretrainConfig(Model):
    """What global and local pretraining have in common. ``images`` counts images per step, views included.

    A strategy says which of these it does not read; they are then in no key of its runs (``Pretext.unread``).
    """

    steps: int = Field(ge=1)
    images: int = Field(ge=8)
    learning_rate: float = Field(default=1e-3, gt=0)
    temperature: float = Field(default=0.1, gt=0)
    partitions: int = Field(default=4, ge=2, description="S: partitions of a volume along the slice axis")
    partition_bounds: Quirk = Field(default="paper", description="D7: release never samples the last Q mod S slices")
    views: ViewConfig = ViewConfig()
    checkpoint_every: Annotated[int, Field(ge=1), MACHINERY] = 100


class LocalConfig(PretrainConfig):
    """``blocks``: decoder blocks trained (l of docs/method.md 5); left out: up to a quarter of the frame's resolution."""

    blocks: int | None = Field(default=None, ge=1)
    region_size: Literal[1, 3] = 3
    region_projection: Quirk = Field(default="paper", description="D9: release adds a shared 9C -> 128 projection")
    frozen_batchnorm: Quirk = Field(
        default="release", description="D21: release runs the frozen encoder's batch norm on batch statistics"
    )


class AugmentConfig(Model):
    """Augmentation of fine-tuning (docs/method.md 6). Degrees, shares, and pixels of a 192-pixel frame."""

    rotation: float = Field(default=15.0, ge=0)
    scale: float = Field(default=0.05, ge=0, lt=1)
    flip: bool = True
    right_angles: bool = Field(default=True, description="rotations by multiples of 45 degrees")
    elastic: float = Field(default=5.0, ge=0)
    brightness: float = Field(default=0.1, ge=0)
    contrast: float = Field(default=0.2, ge=0, lt=1)
    intensity: Quirk = Field(default="paper", description="D11: release computes the intensity change and drops it")


class FinetuneConfig(Model):
    """How labelled slices train the network, whatever the regime adds."""

    steps: int = Field(ge=1)
    batch: int = Field(default=20, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: float = Field(default=0.1, ge=0, lt=1, description="share of the steps, or of each part with rounds, for cosine")
    loss: Literal["dice", "dice_ce"] = "dice"
    validate_every: int = Field(default=50, ge=1)
    selection: Literal["validation", "labelled", "none"] = Field(
        default="validation",
        description="which volumes choose the weights: the card's validation list, whose labels are to be paid for too; the "
        "labelled volumes that are trained on; none: the last weights are taken",
    )
    checkpoint_every: Annotated[int, Field(ge=1), MACHINERY] = 200
    augment: AugmentConfig = AugmentConfig()


Options = dict[str, Any]


class Settings(Model):
    """Everything that shapes a number of a run, and that a single method may set otherwise (``set`` of its line)."""

    threads: int = Field(
        default=1, ge=1, le=MOST_THREADS, description="CPU threads of one job: fixed, because sums depend on it"
    )
    network: NetworkConfig = NetworkConfig()
    pool: Percent | None = Field(
        default=None,
        description="share of the pretraining list's subjects, drawn by subject, that pretraining and regimes use without labels",
    )
    pretrain_global: PretrainConfig
    pretrain_local: LocalConfig
    finetune: FinetuneConfig
    strategies: dict[Name, Options] = Field(
        default={}, description="options of single strategies, as their files define them (D1, D3, D4 are gd's)"
    )
    regimes: dict[Name, Options] = Field(default={}, description="options of single regimes, as their files define them")
