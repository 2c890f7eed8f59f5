"""What only all cases of a data set together show: duplicates, structures that are nowhere, what resampling and frame lose."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from glocalseg.data.acquire.examine.case import Examined
from glocalseg.data.cards.card import Card
from glocalseg.data.images.volumes import class_of
from glocalseg.data.readers.base import Case, Note, Problem

TOLD = 0.01  # share of a structure from which a loss is told
NAMED = 10  # volumes that one note names
WORST = 3  # volumes that a loss names
NUMBER = re.compile(r"-?\d[\d.]*(e[-+]?\d+)?")


@dataclass(frozen=True)
class Total:
    """A structure over all volumes: areas in mm2 as labelled, after resampling, on the frame.

    ``cut`` is the share that the frame cuts off of each volume, the largest first.
    """

    name: str
    native: float
    resampled: float
    framed: float
    cut: list[tuple[float, str]]

    @property
    def lost(self) -> float:
        """Share of what is labelled that is not on the frame."""
        return 1 - self.framed / self.native

    @property
    def said(self) -> str:
        """As a message has it, both parts."""
        by_size = 1 - self.resampled / self.native
        by_frame = 1 - self.framed / self.resampled if self.resampled else 0.0
        return f"{self.lost:.1%} ({by_size:.1%} by resampling, then {by_frame:.1%} cut off by the frame)"


def summarise(card: Card, examined: Sequence[Examined]) -> tuple[list[Problem], list[Note]]:
    """Problems and notes of a data set as a whole, beside those of its cases."""
    problems, notes = list(_images_twice(examined)), list(_labels_twice(examined))
    missing, empty = _structures(card, examined)
    totals = _totals(card, examined)
    problems += [*missing, *_too_much(card, totals)]
    notes += [*empty, *_unpadded(card, examined), *_losses(card, totals), *_vanished(card, examined)]
    return problems, notes


def gather(notes: Sequence[Note]) -> list[Note]:
    """The same notes, those that differ in their file and in numbers alone as one, in the order in which each first comes."""
    alike: dict[str, list[Note]] = {}
    for note in notes:
        alike.setdefault(NUMBER.sub("#", note.text), []).append(note)
    return [same[0] if len(same) == 1 else _one(same) for same in alike.values()]


def _one(same: list[Note]) -> Note:
    where = f"{same[0].file} and {f'{len(same) - 1} more files' if len(same) > 2 else 'one more file'}"
    equal = all(note.text == same[0].text for note in same)
    return Note(where, same[0].text if equal else f"{same[0].text} (numbers of the first)")


# ---------------------------------------------------------------- the same thing twice


def _images_twice(examined: Sequence[Examined]) -> Iterator[Problem]:
    first: dict[str, Case] = {}
    for one in examined:
        if one.image is None:
            continue
        if one.image in first:
            yield Problem(str(one.case.image), "an image of its own", f"the same voxels as {first[one.image].image}")
        first.setdefault(one.image, one.case)


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
        notes.append(Note(card.name, f"{have} of any structure: {_names(empty)}"))
    return problems, notes


def _unpadded(card: Card, examined: Sequence[Examined]) -> Iterator[Note]:
    """A padding that the card names and that no volume has, a slip of a digit perhaps."""
    if card.padding is not None and not any(one.padded for one in examined):
        yield Note(card.name, f"padding: {card.padding:g} is the intensity of no voxel of any image")


# ---------------------------------------------------------------- losses


def _totals(card: Card, examined: Sequence[Examined]) -> list[Total]:
    totals = []
    for name in card.structures.values():
        losses = {e.case.volume: e.losses[name] for e in examined if name in e.losses}
        if not losses:
            continue
        native, resampled, framed = (
            sum(getattr(loss, part) for loss in losses.values()) for part in ("native", "resampled", "framed")
        )
        cut = [(1 - loss.framed / loss.resampled, volume) for volume, loss in losses.items() if loss.resampled]
        totals.append(Total(name, native, resampled, framed, sorted(cut, key=lambda pair: (-pair[0], pair[1]))))
    return totals


def _too_much(card: Card, totals: list[Total]) -> Iterator[Problem]:
    """Structures of which the data set, or else a volume, loses more than the card allows."""
    advice = f"frame: {_frame(card)}; loss_limit in the card may be raised"
    for total in totals:
        above = [pair for pair in total.cut if pair[0] > card.loss_limit]
        if total.lost > card.loss_limit:
            expected = f"at most {card.loss_limit:.1%} of {total.name!r} lost on the frame"
            yield Problem(card.name, expected, f"{total.said} ({advice})")
        elif above:
            expected = f"at most {card.loss_limit:.1%} of {total.name!r} cut off by the frame, in every volume"
            yield Problem(card.name, expected, f"more in {len(above)} of {len(total.cut)}: {_worst(above)} ({advice})")


def _losses(card: Card, totals: list[Total]) -> Iterator[Note]:
    for total in totals:
        if TOLD <= total.lost <= card.loss_limit:
            yield Note(card.name, f"{total.name!r} loses {total.said}")
        if total.lost <= card.loss_limit and (cut := [p for p in total.cut if TOLD <= p[0] <= card.loss_limit]):
            yield Note(card.name, f"the frame cuts {total.name!r} in {len(cut)} of {len(total.cut)} volumes: {_worst(cut)}")


def _vanished(card: Card, examined: Sequence[Examined]) -> Iterator[Note]:
    """Structures that a volume has and of which the network sees nothing."""
    for name in card.structures.values():
        there = [(e.case.volume, e.losses[name]) for e in examined if name in e.losses]
        for what, gone in (
            ("resampling", [v for v, loss in there if not loss.resampled]),
            ("the frame", [v for v, loss in there if loss.resampled and not loss.framed]),
        ):
            if gone:
                yield Note(
                    card.name,
                    f"nothing of {name!r} is left by {what} in {len(gone)} of {len(there)} volumes: {_names(gone)}",
                )


def _worst(pairs: list[tuple[float, str]]) -> str:
    return ", ".join(f"{share:.1%} of {volume}" for share, volume in pairs[:WORST]) + (", ..." if len(pairs) > WORST else "")


def _frame(card: Card) -> str:
    (rows, columns), (height, width) = card.frame.size, card.frame.spacing
    return f"{rows} x {columns} pixels of {height:g} x {width:g} mm"


def _names(volumes: list[str]) -> str:
    more = f" and {len(volumes) - NAMED} more" if len(volumes) > NAMED else ""
    return ", ".join(volumes[:NAMED]) + more
