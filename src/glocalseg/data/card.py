"""The dataset card: where a data set comes from, how it is read, and how it is split; typed and validated.

Parsing one imports no torch, no nibabel and no requests, so that a whole grid is planned in a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from glocalseg.config.model import ConfigError, Name, parse, read_yaml
from glocalseg.data.acquire.sources.base import Source
from glocalseg.data.kinds import FoundByFile
from glocalseg.data.reading import Reading
from glocalseg.data.splits import Splits


class Card(Reading):
    """A data set: where it comes from, how it is read, and how it is split."""

    name: Name
    title: str
    modality: str
    subjects: int = Field(ge=3, description="how many subjects the data set has; checked when it is verified")
    licence: str
    citation: list[str] = Field(min_length=1)
    source: Annotated[Source, FoundByFile()] = Field(description="where the files come from")
    splits: Splits

    @property
    def reading(self) -> Reading:
        """What decides the slice store: the card without what a person reads, where it comes from and how it is split."""
        return Reading.model_validate({name: getattr(self, name) for name in Reading.model_fields})


def load_card(path: Path) -> Card:
    """The validated dataset card of a YAML file whose stem is the data set's name. Raises ConfigError."""
    card = parse(Card, read_yaml(path), str(path))
    if card.name != path.stem:
        raise ConfigError(f"{path}: name: expected {path.stem!r}, as the file is called, found {card.name!r}")
    return card


def load_cards(names: list[str], folder: Path) -> dict[str, Card]:
    """The cards of the named data sets, ``folder/<name>.yaml``. Raises ConfigError that lists the cards there are."""
    there = sorted(p.stem for p in folder.glob("*.yaml"))
    for name in names:
        if name not in there:
            raise ConfigError(f"datasets: expected one of {', '.join(there)} (cards in {folder}), found {name!r}")
    return {name: load_card(folder / f"{name}.yaml") for name in names}
