"""The dataset card: where a data set comes from, how it is read, and how it is split; typed and validated.

Parsing one imports no torch, no nibabel and no requests, so that a whole grid is planned in a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from glocalseg.config.kinds import FoundByFile
from glocalseg.config.lines import shown
from glocalseg.config.model import ConfigError, Name, parse, read_yaml
from glocalseg.data.acquire.sources.base import Source
from glocalseg.data.cards.reading import Preparation, Reading
from glocalseg.data.files.table import read_table
from glocalseg.data.splits.given import Splits


class Card(Reading, Preparation):
    """A data set: where it comes from, how it is read, prepared and split."""

    name: Name
    title: str
    modality: str
    subjects: int = Field(ge=3, description="how many subjects the data set has; checked when it is verified")
    volumes: int | None = Field(default=None, ge=3, description="how many volumes it has, where known; checked, too")
    licence: str
    citation: list[str] = Field(min_length=1)
    source: Annotated[Source, FoundByFile()] = Field(description="where the files come from")
    splits: Splits
    loss_limit: float = Field(
        default=0.1, ge=0, le=1, description="share of a structure that resampling and frame may lose before it is an error"
    )

    @property
    def reading(self) -> Reading:
        """What decides which cases there are, and their voxels."""
        return Reading.model_validate({name: getattr(self, name) for name in Reading.model_fields})

    @property
    def preparation(self) -> Preparation:
        """What decides the slice store beside the data."""
        return Preparation.model_validate({name: getattr(self, name) for name in Preparation.model_fields})


def load_card(path: Path) -> Card:
    """The validated dataset card of a YAML file whose stem is the data set's name. Raises ConfigError."""
    raw = read_yaml(path)
    card = parse(Card, raw, str(path))
    if card.name != path.stem:
        raise ConfigError(f"{path}: name: expected {path.stem!r}, as the file is called, found {card.name!r}")
    if card.subject.card_table is None:
        return card
    rows = beside(path, card.subject.card_table)
    return parse(Card, {**raw, "subject": {**raw["subject"], "rows": rows}}, str(path))


def beside(card: Path, table: str) -> dict[str, str]:
    """Subjects by volume of the table beside a card. Raises ConfigError."""
    path = card.with_name(table)
    try:
        return read_table(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: expected two columns, volume and subject, with tabs, found {error}") from None


def load_cards(names: list[str], folder: Path) -> dict[str, Card]:
    """The cards of the named data sets, ``folder/<name>.yaml``. Raises ConfigError that lists the cards there are."""
    there = sorted(p.stem for p in folder.glob("*.yaml"))
    for name in names:
        if name not in there:
            raise ConfigError(f"datasets: expected one of {', '.join(there)} (cards in {folder}), found {shown(name)}")
    return {name: load_card(folder / f"{name}.yaml") for name in names}
