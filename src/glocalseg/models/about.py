"""``model.json`` of an exported folder: all that its weights need to label an image, and where they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from glocalseg.config.model import ConfigError, Model, parse
from glocalseg.config.settings import MOST_THREADS, NetworkConfig
from glocalseg.data.cards.reading import Preparation
from glocalseg.data.images.volumes import class_of
from glocalseg.records.digest import digest
from glocalseg.records.files import write_json

FORMAT = 2
ABOUT, WEIGHTS, SCORES, README = "model.json", "model.safetensors", "scores.csv", "README.md"


class ModelError(ValueError):
    """An exported model that cannot be made or used: names the file, what was expected and what was found."""


class ImageFile(Model):
    """Which voxels of an image file are used, as ``data.cards.reading.Reading`` has it."""

    channel: int = Field(ge=0)
    header: Literal["agree", "sform", "qform", "spacing"]


class DataSet(Model):
    """What the network was trained on, as the card says it, and how much of it."""

    name: str
    title: str
    modality: str
    licence: str
    citation: list[str]
    labelled_volumes: int
    labelled_subjects: int
    selecting_volumes: int = Field(description="with labels too, which were not trained on but chose the weights")
    unlabelled_volumes: int = Field(description="whose images it saw without labels, in pretraining or by its regime")
    tested_volumes: int
    tested_subjects: int
    beyond_frame: float = Field(
        ge=0, lt=1, description="largest share of a slice's area that its frame left out of a volume"
    )


class About(Model):
    """One exported network.

    ``network`` is as it was built, so that it needs neither the frame to find its levels nor bought-in weights; ``threads`` and
    its precision are the run's, because sums depend on them. ``scores`` holds by structure and metric how it did on the test
    volumes (None: no value); ``provenance`` the run's specification and what it was made with.
    """

    format: Literal[2]
    label: str
    weights: str = Field(description="sha256 of the weights' file")
    network: NetworkConfig
    threads: int = Field(ge=1, le=MOST_THREADS)
    preparation: Preparation
    image: ImageFile
    data: DataSet
    scores: dict[str, dict[str, float | None]]
    provenance: dict[str, Any]

    @property
    def values(self) -> dict[int, int]:
        """Class to the value that stands for it in a label file: the data set's, the smallest where a card merges several."""
        found = {0: 0}
        for value, number in sorted(class_of(self.preparation).items(), reverse=True):
            if number:
                found[number] = value
        return dict(sorted(found.items()))

    @property
    def names(self) -> dict[int, str]:
        """Value in a label file to the name of its structure."""
        return {self.values[number]: name for number, name in sorted(self.preparation.structures.items())}

    def file_values(self, classes: NDArray[np.uint8]) -> NDArray[np.integer[Any]]:
        """Classes as the values of a label file, in the smallest type that holds them, uint8 where it does."""
        values = [self.values.get(number, 0) for number in range(self.preparation.classes)]
        kinds = (np.uint8, np.int16, np.uint16, np.int32)
        dtype = next((k for k in kinds if np.iinfo(k).min <= min(values) and max(values) <= np.iinfo(k).max), np.int64)
        table: NDArray[np.integer[Any]] = np.array(values, dtype)
        return table[classes]


def write_about(folder: Path, about: About) -> None:
    """Write ``model.json``, with a digest of its content."""
    content = about.model_dump(mode="json")
    write_json(folder / ABOUT, {**content, "digest": digest(content)})


def read_about(folder: Path) -> About:
    """What ``model.json`` of an exported folder says. Raises ModelError."""
    path = folder / ABOUT
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder}: expected a folder that `make export` wrote, found no {ABOUT} in it") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: expected JSON, found {type(error).__name__}: {error}") from None
    if not isinstance(content, Mapping) or "format" not in content:
        raise ModelError(f"{path}: expected the description of an exported model, found none")
    if content["format"] != FORMAT:
        raise ModelError(
            f"{path}: format: expected {FORMAT}, found {content['format']!r}: another version of glocalseg wrote it, use that one"
        )
    written = {name: value for name, value in content.items() if name != "digest"}
    if content.get("digest") != _digest(written):
        raise ModelError(
            f"{path}: digest: expected that of its content, found another: the file was changed after it was written"
        )
    try:
        return parse(About, written, str(path))
    except ConfigError as error:
        raise ModelError(str(error)) from None


def _digest(content: dict[str, Any]) -> str:
    try:
        return digest(content)
    except ValueError:  # nan, or letters that are none
        return "none"
