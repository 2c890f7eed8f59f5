"""What only all cases of a data set together show: duplicates, structures that are nowhere, what resampling and frame lose."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from glocalseg.data.acquire.examine.case import Examined
from glocalseg.data.acquire.examine.labels import check_labels, named
from glocalseg.data.acquire.examine.losses import check_losses
from glocalseg.data.acquire.examine.outliers import check_lengths
from glocalseg.data.acquire.examine.twins import images_twice
from glocalseg.data.cards.card import Card
from glocalseg.data.images.volumes import class_of
from glocalseg.data.readers.base import Note, Problem

NUMBER = re.compile(r"-?\d[\d.]*(e[-+]?\d+)?")


def summarise(card: Card, examined: Sequence[Examined]) -> tuple[list[Problem], list[Note]]:
    """Problems and notes of a data set as a whole, beside those of its cases."""
    problems, notes = list(images_twice(card.reading, examined)), list(_labels_twice(examined))
    unlike = check_lengths(card, examined)
    missing, empty = _structures(card, examined)
    lost = check_losses(card, examined)
    problems += [*unlike[0], *missing, *lost[0]]
    notes += [*unlike[1], *empty, *check_labels(card, examined), *_unpadded(card, examined), *lost[1]]
    return problems, notes


def gather(notes: Sequence[Note]) -> list[Note]:
    """The same notes, those of several files that differ in numbers alone as one, in the order in which each first comes.

    Two notes of one file are never one: structures may be called ``s1`` and ``s2``.
    """
    alike: dict[tuple[str, int], list[Note]] = {}
    times: Counter[tuple[str, str]] = Counter()
    for note in notes:
        text = NUMBER.sub("#", note.text)
        alike.setdefault((text, times[text, note.file]), []).append(note)
        times[text, note.file] += 1
    return [same[0] if len(same) == 1 else _one(same) for same in alike.values()]


def _one(same: list[Note]) -> Note:
    where = f"{same[0].file} and {f'{len(same) - 1} more files' if len(same) > 2 else 'one more file'}"
    equal = all(note.text == same[0].text for note in same)
    return Note(where, same[0].text if equal else f"{same[0].text} (numbers of the first)")


def _labels_twice(examined: Sequence[Examined]) -> Iterator[Note]:
    first: dict[str, Examined] = {}
    for one in examined:
        if one.label is None or one.facts is None or not one.facts.values:
            continue
        before = first.setdefault(one.label, one)
        if before is not one and before.image != one.image:
            yield Note(str(one.case.label), f"the same label as {before.case.label}, of another image")


# ---------------------------------------------------------------- structures


def _structures(card: Card, examined: Sequence[Examined]) -> tuple[list[Problem], list[Note]]:
    """Structures that no volume has; volumes that have none. What could not be read may have any: then nothing is missing."""
    classes = class_of(card.preparation)
    labelled = [e for e in examined if e.case.label is not None]
    found = {e.case.volume: {classes.get(v, 0) for v in e.facts.values} - {0} for e in labelled if e.facts is not None}
    problems = []
    if labelled and len(found) == len(labelled):
        there = set().union(*found.values())
        for number, name in card.structures.items():
            if number not in there:
                values = [str(v) for v, n in sorted(classes.items()) if n == number]
                wanted = f"structure {name!r} (value {' or '.join(values) or 'none, by label_values'}) in one volume or more"
                problems.append(Problem(card.name, wanted, f"none in {len(found)} labels"))
    notes = []
    if empty := [volume for volume, classes_there in found.items() if not classes_there]:
        have = f"{len(empty)} volumes have no label" if len(empty) > 1 else "one volume has no label"
        notes.append(Note(card.name, f"{have} of any structure: {named(empty)}"))
    some = {volume: there for volume, there in found.items() if there}
    for number, name in card.structures.items():
        without = [volume for volume, there in some.items() if number not in there]
        if 0 < len(without) < len(some):
            text = f"{name!r} is in {len(some) - len(without)} of the {len(some)} volumes with labels"
            notes.append(Note(card.name, f"{text}, and in those without it is background: not in {named(without)}"))
    return problems, notes


def _unpadded(card: Card, examined: Sequence[Examined]) -> Iterator[Note]:
    """A padding that the card names and that no volume has, a slip of a digit perhaps."""
    if card.padding is not None and not any(one.padded for one in examined):
        yield Note(card.name, f"padding: {card.padding:g} is the intensity of no voxel of any image")
