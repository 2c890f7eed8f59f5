"""What a list of the data says of its label values, against what the card says."""

from __future__ import annotations

from collections.abc import Iterator

from glocalseg.data.cards.card import Card
from glocalseg.data.images.volumes import class_of
from glocalseg.data.readers.base import Note, Said

SEPARATORS = str.maketrans("_-", "  ")


def compare_with_list(card: Card, said: Said | None) -> Iterator[Note]:
    """A note where a list calls label values otherwise than the card, and one for values that the card does not have."""
    if said is None:
        return
    classes = class_of(card.preparation)
    unknown = {value: name for value, name in said.labels.items() if value not in classes}
    if unknown:
        yield Note(str(said.file), f"it lists label values that the card neither maps nor calls stray: {_named(unknown)}")
    single = {value: number for value, number in classes.items() if list(classes.values()).count(number) == 1}
    others = [
        f"{value} is {said.labels[value]!r}, and {card.structures[number]!r} in the card"
        for value, number in single.items()
        if value in said.labels
        and number in card.structures
        and _plain(said.labels[value]) != _plain(card.structures[number])
    ]
    if others:
        yield Note(str(said.file), f"its names of label values are others: {'; '.join(others)}")


def _plain(name: str) -> str:
    return " ".join(name.casefold().translate(SEPARATORS).split())


def _named(values: dict[int, str]) -> str:
    return ", ".join(f"{value} ({name})" for value, name in values.items())
