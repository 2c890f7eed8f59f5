"""The card of bought-in weights: which network they are of, where they come from, under which licence, what they may have seen.

Parsing one imports no torch, no timm and no requests, so that a whole grid is planned in a second.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Self

from pydantic import Field, model_validator

from glocalseg.config.lines import shown
from glocalseg.config.model import ConfigError, Model, Name, parse, read_yaml
from glocalseg.config.settings import Deviation, InputStatistics

CALLED = re.compile(r"[a-z][a-z0-9_]*")  # a card; whatever else stands in ``network.weights`` is a path
RECORD = "fetched.json"  # that the file was brought to data/weights/<name>
ENDING = ".safetensors"  # other checkpoints are programs as well, which run when they are read
DIGITS = 6  # of statistics: they are in keys, which no order of adding up is to change
Text = Annotated[str, Field(min_length=1)]


class WeightsSource(Model):
    """One file: of a url, or what a person puts into ``data/incoming/weights/<name>``, which comes before the url."""

    url: str | None = Field(default=None, pattern=r"^https?://\S+$", description="left out: a person has to get the file")
    file: str | None = Field(default=None, description="the file's name, where the url does not end in it")
    steps: list[Text] = Field(default=[], description="what a person does to get the file where there is no url")

    @model_validator(mode="after")
    def _named(self) -> Self:
        name = self.file_name
        if PurePosixPath(name).name != name or not name.endswith(ENDING) or name == ENDING:
            raise ValueError(f"weights need a url that ends in the name of a {ENDING} file, or file, found {shown(name)}")
        if self.url is None and not self.steps:
            raise ValueError("weights without a url need steps, which are shown to the person who has to get them")
        return self

    @property
    def file_name(self) -> str:
        """What the file is called, at its publisher's and here."""
        return self.file or (self.url or "").split("?")[0].rsplit("/", 1)[-1]


class Normalisation(Model):
    """Mean and standard deviation by channel, of intensities in [0, 1], that images had in the training of the weights."""

    mean: list[float] = Field(min_length=1)
    std: list[Deviation] = Field(min_length=1)

    @model_validator(mode="after")
    def _alike(self) -> Self:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean and std need as many channels, found {len(self.mean)} and {len(self.std)}")
        return self

    @property
    def grey(self) -> InputStatistics:
        """Those of a grey image: means over channels, because timm adds up the first convolution's weights over them."""
        mean, deviation = (round(sum(values) / len(values), DIGITS) for values in (self.mean, self.std))
        return mean, deviation


class WeightsCard(Model):
    """Weights of a whole timm model."""

    name: Name
    title: Text
    summary: Text = Field(description="what they were trained on and how, in a sentence")
    model: str = Field(pattern=r"^[A-Za-z0-9_.]+$", description="timm's name of the network that they are of")
    source: WeightsSource
    sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="where the publisher gives it; else the first fetch writes a lock file",
    )
    licence: Text
    input: Normalisation
    may_have_seen: Text = Field(
        description="a sentence of the report: whether the data of a benchmark may be among what they saw"
    )
    citation: list[Text] = Field(min_length=1)

    @property
    def encoder(self) -> str:
        """``network.encoder`` of a benchmark that uses them."""
        return f"timm:{self.model}"


def load_weights_card(name: str, folder: Path) -> WeightsCard:
    """The validated card ``folder/<name>.yaml``. Raises ConfigError, which lists the cards there are if that is none."""
    there = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in there:
        raise ConfigError(
            f"network.weights: expected one of {', '.join(there) or 'no cards'} (in {folder}) or the path of a file, found "
            f"{shown(name)}"
        )
    path = folder / f"{name}.yaml"
    card = parse(WeightsCard, read_yaml(path), str(path))
    if card.name != name:
        raise ConfigError(f"{path}: name: expected {name!r}, as the file is called, found {card.name!r}")
    return card
