"""What resampling and frame lose of each structure, over all volumes and in single ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from glocalseg.data.acquire.examine.case import Examined, Loss
from glocalseg.data.acquire.examine.labels import named
from glocalseg.data.cards.card import Card
from glocalseg.data.readers.base import Note, Problem

TOLD = 0.01  # share of a structure from which a loss is told
# What resampling loses of a single volume is partly chance: it takes the nearest pixels, so a structure ten pixels wide is a
# tenth smaller or larger, by where its border lies between them, through all slices alike. Over many volumes losses and gains
# make up for each other, and the sum tells what is lost. But gains must not hide losses: half of the volumes with nothing left
# and the others with twice as much are no loss in the sum, and no data set. So a volume that loses more than the limit is told;
# losses without the gains are held to the limit like the sum; and more than half of a structure is an error in more volumes than
# the limit allows, or in a single one if it is not small.
HALF = 0.5
SMALL = 100  # pixels of the frame over all slices, up to which a structure may lose its half by chance
WORST = 3  # volumes that a loss names


@dataclass(frozen=True)
class Total:
    """A structure over all volumes: areas in mm2 as labelled, after resampling, on the frame.

    ``shrunk`` is what resampling loses where it loses. By volume, the largest first: ``cut``, the share that the frame cuts off;
    ``resized``, the share that resampling loses; ``small`` are the volumes with few pixels of it.
    """

    name: str
    native: float
    resampled: float
    framed: float
    shrunk: float
    cut: list[tuple[float, str]]
    resized: list[tuple[float, str]]
    small: set[str]

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


def check_losses(card: Card, examined: Sequence[Examined]) -> tuple[list[Problem], list[Note]]:
    """Structures of which more is lost than the card allows, and all that is lost beside."""
    problems: list[Problem] = []
    notes: list[Note] = []
    for name in card.structures.values():
        losses = {e.case.volume: e.losses[name] for e in examined if name in e.losses}
        if losses:
            total = _total(card, name, losses)
            found = list(_too_much(card, total))
            problems += found
            notes += [*_told(card, total, found), *_vanished(card, name, losses)]
    return problems, notes


def _total(card: Card, name: str, losses: dict[str, Loss]) -> Total:
    native, resampled, framed = (
        sum(getattr(loss, part) for loss in losses.values()) for part in ("native", "resampled", "framed")
    )
    cut = {volume: 1 - loss.framed / loss.resampled for volume, loss in losses.items() if loss.resampled}
    resized = {volume: 1 - loss.resampled / loss.native for volume, loss in losses.items()}
    least = SMALL * card.frame.spacing[0] * card.frame.spacing[1]
    return Total(
        name,
        native,
        resampled,
        framed,
        shrunk=sum(max(0.0, loss.native - loss.resampled) for loss in losses.values()) / native,
        cut=_sorted(cut),
        resized=_sorted(resized),
        small={volume for volume, loss in losses.items() if loss.native < least},
    )


def _too_much(card: Card, total: Total) -> Iterator[Problem]:
    limit, volumes = card.loss_limit, len(total.resized)
    advice = f"(frame: {_frame(card)}; loss_limit in the card may be raised)"
    if total.lost > limit:
        yield Problem(card.name, f"at most {limit:.1%} of {total.name!r} lost on the frame", f"{total.said} {advice}")
        return
    if cut := [pair for pair in total.cut if pair[0] > limit]:
        expected = f"at most {limit:.1%} of {total.name!r} cut off by the frame, in every volume"
        yield Problem(card.name, expected, f"more in {len(cut)} of {len(total.cut)}: {_worst(cut)} {advice}")
    halved = [pair for pair in total.resized if pair[0] > max(HALF, limit)]
    large = [pair for pair in halved if pair[1] not in total.small]
    if total.shrunk > limit:
        found = f"{total.shrunk:.1%}, made up for by what other volumes gain: {_worst(total.resized)} {advice}"
        yield Problem(card.name, f"at most {limit:.1%} of {total.name!r} lost by resampling where it loses", found)
    elif large or len(halved) > limit * volumes:
        expected = f"half of {total.name!r} or more left by resampling"
        yield Problem(
            card.name, expected, f"less in {len(halved)} of {volumes} volumes: {_worst(large or halved)} lost {advice}"
        )


def _told(card: Card, total: Total, problems: list[Problem]) -> Iterator[Note]:
    """What is lost of a structure up to the limit; of resampling what is above it in a volume, and was no problem."""
    if total.lost > card.loss_limit:
        return
    if total.lost >= TOLD:
        yield Note(card.name, f"{total.name!r} loses {total.said}")
    if cut := [pair for pair in total.cut if TOLD <= pair[0] <= card.loss_limit]:
        yield Note(card.name, f"the frame cuts {total.name!r} in {len(cut)} of {len(total.cut)} volumes: {_worst(cut)}")
    resized = [pair for pair in total.resized if pair[0] > card.loss_limit]
    if resized and not any("by resampling" in problem.expected for problem in problems):
        where = f"in {len(resized)} of {len(total.resized)} volumes: {_worst(resized)}"
        yield Note(card.name, f"resampling loses more than {card.loss_limit:.1%} of {total.name!r} {where}")


def _vanished(card: Card, name: str, losses: dict[str, Loss]) -> Iterator[Note]:
    """Volumes that have a structure of which the network sees nothing."""
    for what, gone in (
        ("resampling", [v for v, loss in losses.items() if not loss.resampled]),
        ("the frame", [v for v, loss in losses.items() if loss.resampled and not loss.framed]),
    ):
        if gone:
            where = f"in {len(gone)} of {len(losses)} volumes: {named(gone)}"
            yield Note(card.name, f"nothing of {name!r} is left by {what} {where}")


def _sorted(shares: dict[str, float]) -> list[tuple[float, str]]:
    return sorted(((share, volume) for volume, share in shares.items()), key=lambda pair: (-pair[0], pair[1]))


def _worst(pairs: list[tuple[float, str]]) -> str:
    return ", ".join(f"{share:.1%} of {volume}" for share, volume in pairs[:WORST]) + (", ..." if len(pairs) > WORST else "")


def _frame(card: Card) -> str:
    (rows, columns), (height, width) = card.frame.size, card.frame.spacing
    return f"{rows} x {columns} pixels of {height:g} x {width:g} mm"
