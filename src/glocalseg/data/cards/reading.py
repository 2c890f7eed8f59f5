"""How a data set is read, which decides its identity, and how it is prepared, which is in the key of its slice store.

What works with these values names this module for the type checker alone, so that neither the wording of a description nor a
reader's code comes into the keys of trainings.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from glocalseg.config.kinds import FoundByFile
from glocalseg.config.model import Model
from glocalseg.data.cards.taken import AVERAGES, COLUMNS, MISSING
from glocalseg.data.files.names import folded
from glocalseg.data.readers.base import Reader, SubjectRule

Axis = Literal["R", "L", "A", "P", "S", "I"]


def nameable(name: str) -> bool:
    """Whether a structure can be called so, and still be that in a cell of a table."""
    known = folded(name) in AVERAGES | MISSING | COLUMNS
    return not known and name == name.strip() and name.isprintable() and not set(name) & {",", '"'}


class Frame(Model):
    """The in-plane grid that the network sees: spacing in mm and size in pixels, (rows, columns)."""

    spacing: tuple[float, float]
    size: tuple[int, int]

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if min(self.spacing) <= 0 or min(self.size) < 16:
            raise ValueError(f"spacing must be positive and size at least 16, found {self.spacing} and {self.size}")
        return self


class Reading(Model):
    """What is read of a data set's files: which cases there are, and which voxels they have. It decides a data set's identity."""

    reader: Annotated[Reader, FoundByFile()] = Field(description="the layout of the files, with its options")
    subject: SubjectRule
    channel: int = Field(default=0, ge=0, description="of images with four dimensions, from 0")
    labels: Literal["all", "some"] = Field(
        default="all", description="some: volumes without a label are used for pretraining, and in no list with labels"
    )
    header: Literal["agree", "sform", "qform", "spacing"] = Field(
        default="agree",
        description="the geometry of a NIfTI header that counts; agree: all that a header holds, which must be one and the same",
    )
    ignore: list[str] = Field(
        default=[], description="patterns of files, below the data's folder, that are not used on purpose"
    )


class Preparation(Model):
    """How volumes become slices on the frame that the network sees: everything beside the data that decides a slice store."""

    structures: dict[int, str] = Field(min_length=1, description="class index, from 1 without gaps, to its name")
    label_values: dict[int, int] = Field(default={}, description="value in the file to class; empty: the classes")
    stray_values: list[int] = Field(default=[], description="values in the file that count as background")
    slice_axis: Axis = Field(description="slices are counted towards this direction")
    frame: Frame
    percentiles: tuple[float, float] = Field(default=(1.0, 99.0), description="of a volume's intensities: become 0 and 1")
    window: tuple[float, float] | None = Field(
        default=None, description="instead of percentiles: these intensities become 0 and 1, what lies beyond them too"
    )
    padding: float | None = Field(
        default=None, description="intensity outside of what was scanned: in no percentile, becomes 0"
    )
    bias_correction: bool = False

    @field_validator("structures")
    @classmethod
    def _numbered_and_named(cls, structures: dict[int, str]) -> dict[int, str]:
        if sorted(structures) != list(range(1, len(structures) + 1)):
            raise ValueError(f"structures must be numbered 1, 2, ... without gaps, found {sorted(structures)}")
        names = list(structures.values())
        if bad := [name for name in names if not nameable(name)]:
            raise ValueError(
                "structures need names that stand in a cell of a table: no space around them, no comma, quotation mark, tab or "
                "line break, and none of mean, all, NA, nan, none, null or of a table's columns, such as file, step, subject; "
                f"found {', '.join(map(repr, bad))}"
            )
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"structures need different names (label_values merges values), found {twice} more than once")
        texts = [folded(name) for name in names]  # to many a program and disk, and to many an eye, these are one
        if alike := [name for name, text in zip(names, texts, strict=True) if texts.count(text) > 1]:
            raise ValueError(
                "structures need names that differ in more than letter case or how a letter with an accent is stored, found "
                f"{', '.join(map(ascii, alike))}"
            )
        return structures

    @field_validator("label_values")
    @classmethod
    def _of_classes(cls, label_values: dict[int, int], info: ValidationInfo) -> dict[int, int]:
        structures = info.data.get("structures")  # nothing where those are wrong, which is told
        if structures is None:
            return label_values
        if bad := sorted(set(label_values.values()) - set(structures) - {0}):
            raise ValueError(f"expected classes that structures names, found {bad}")
        if number := label_values.get(0, 0):
            raise ValueError(
                f"expected 0 to be background or not listed, found class {number} ({structures[number]!r}) for it"
            )
        return label_values

    @field_validator("stray_values")
    @classmethod
    def _of_no_class(cls, stray_values: list[int], info: ValidationInfo) -> list[int]:
        structures, listed = info.data.get("structures"), info.data.get("label_values")
        if structures is None or listed is None:
            return stray_values
        named = listed or {number: number for number in structures}
        if both := sorted(value for value in set(stray_values) if named.get(value, 0)):
            classes = ", ".join(f"{value} ({structures[named[value]]!r})" for value in both)
            where = "label_values" if listed else "structures"
            raise ValueError(f"expected values of no class, found those of classes by {where}: {classes}")
        return stray_values

    @field_validator("percentiles")
    @classmethod
    def _rising(cls, percentiles: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= percentiles[0] < percentiles[1] <= 100:
            raise ValueError("percentiles must rise and lie between 0 and 100")
        return percentiles

    @field_validator("window")
    @classmethod
    def _opens(cls, window: tuple[float, float] | None) -> tuple[float, float] | None:
        if window is not None and not window[0] < window[1]:
            raise ValueError("expected the lower intensity first")
        return window

    @property
    def classes(self) -> int:
        """Number of classes, background included."""
        return len(self.structures) + 1
