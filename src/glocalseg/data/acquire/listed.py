"""What a list of the data says of its channels and label values, against the files and against the card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from glocalseg.data.cards.card import Card
from glocalseg.data.files.names import folded
from glocalseg.data.images.volumes import class_of
from glocalseg.data.readers.base import Note, Problem, Said

SEPARATORS = str.maketrans("_-", "  ")


def compare_with_list(card: Card, said: Said | None) -> tuple[list[Problem], list[Note]]:
    """A problem where a list gives a structure of the card other values.

    Notes where it calls label values otherwise, and for values that the card does not have.
    """
    if said is None:
        return [], []
    classes = class_of(card.preparation)
    problems = list(_elsewhere(card, said, classes))
    unknown = {value: name for value, name in said.labels.items() if value not in classes}
    notes = []
    if unknown:
        text = f"it lists label values that the card neither maps nor calls stray: {_named(unknown)}"
        notes.append(Note(str(said.file), text))
    single = {value: number for value, number in classes.items() if list(classes.values()).count(number) == 1}
    names = {_plain(name) for name in card.structures.values()}
    others = [
        f"{value} is {said.labels[value]!r}, and {card.structures[number]!r} in the card"
        for value, number in single.items()
        if value in said.labels
        and number in card.structures
        and _plain(said.labels[value]) != _plain(card.structures[number])
        and not (problems and _plain(said.labels[value]) in names)
    ]
    if others:
        notes.append(Note(str(said.file), f"its names of label values are others: {'; '.join(others)}"))
    return problems, notes


def _elsewhere(card: Card, said: Said, classes: Mapping[int, int]) -> Iterator[Problem]:
    """One problem if structures have the names of the list and other values: one of the two has mixed them up."""
    apart = []
    for number, name in card.structures.items():
        listed = [value for value, other in said.labels.items() if _plain(other) == _plain(name)]
        values = sorted(value for value, of in classes.items() if of == number)
        if listed and not set(listed) & set(values):
            apart.append(f"{name!r} at {_some(listed)}, where the card has it at {_some(values)}")
    if apart:
        yield Problem(str(said.file), "the values that the card gives to structures of these names", "; ".join(apart))


def compare_channels(card: Card, said: Said | None, channels: Mapping[Path, int]) -> tuple[list[Problem], list[Note]]:
    """A problem where images have not the channels of a list; a note where they are several and nothing says so, or unlike.

    Args:
        channels: of every image that could be read: how many volumes its file holds.
    """
    counts = Counter(channels.values())
    if said is not None and said.channels is not None:
        other = [path for path, count in channels.items() if count != len(said.channels)]
        if not other:
            return [], []
        expected = (
            f"images of {len(said.channels)} channel{'s' if len(said.channels) > 1 else ''} ({', '.join(said.channels)})"
        )
        found = f"{channels[other[0]]} in {len(other)} of {len(channels)} images, such as {other[0].name}"
        return [Problem(str(said.file), f"{expected}, as it says, in the files", found)], []
    series = [path for path, count in channels.items() if count > 1]
    if not series:
        return [], []
    if len(counts) == 1:
        text = f"all images have {channels[series[0]]} channels, of which channel {card.channel} is taken"
    else:
        each = ", ".join(f"{n} of {count}" for count, n in sorted(counts.items()))
        text = (
            f"{len(series)} of {len(channels)} images have several channels, such as {series[0].name}, others not as many "
            f"(images by channels: {each}): channel {card.channel} is taken of each"
        )
    return [], [Note(card.name, text)]


def _plain(name: str) -> str:
    return " ".join(folded(name).translate(SEPARATORS).split())


def _some(values: list[int]) -> str:
    return " and ".join(map(str, values)) or "no value"


def _named(values: dict[int, str]) -> str:
    return ", ".join(f"{value} ({name})" for value, name in values.items())
