"""What the data are: from the cards, and from what verification found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glocalseg.data.cards.card import Card
from glocalseg.data.cards.reading import Preparation
from glocalseg.data.splits.given import SplitRule
from glocalseg.report.collected.collect import Stored
from glocalseg.report.text.fact import DataFacts, Fact


def data(card: Card, stored: Stored | None) -> DataFacts:
    """Source, size, licence and splits of a data set, and what verification found.

    Args:
        card: the data set's.
        stored: what its slice store says; None if that is not there.
    """
    frame = card.frame
    known = stored.verified if stored else None
    facts = (
        Fact("Modality", card.modality),
        Fact("Subjects", str(known["subjects"] if known else card.subjects)),
        *([Fact("Volumes", volumes(known))] if known else []),
        Fact("Structures", ", ".join(card.structures[k] for k in sorted(card.structures))),
        Fact("Slices", f"towards {card.slice_axis}; {frame.size[0]} × {frame.size[1]} pixels of "
             f"{frame.spacing[0]:g} × {frame.spacing[1]:g} mm"),
        *([Fact("Lost by resampling and frame", losses(known["losses"]))] if known else []),
        Fact("Intensity", intensity(card.preparation)),
        Fact("Splits", splits(card)),
        Fact("Licence", card.licence),
        *(Fact(label, value) for label, value in card.source.facts()),
    )  # fmt: skip
    return DataFacts(card.title, facts, tuple(known["notes"]) if known else (), tuple(card.citation))


def volumes(verified: Mapping[str, Any]) -> str:
    """How many volumes there are, and how many of them have no label."""
    without = verified["volumes"] - verified["labelled"]
    return f"{verified['volumes']}" + (f", {without} of them without a label" if without else ", all with a label")


def losses(areas: Mapping[str, Mapping[str, float]]) -> str:
    """What is lost of each structure on the way to the network's frame.

    Args:
        areas: mm² by structure: ``native``, ``resampled``, ``framed``; volumes are added up.
    """
    return "; ".join(f"{name}: {loss(area)}" for name, area in areas.items()) or "no structure was looked at"


def loss(area: Mapping[str, float]) -> str:
    """What is lost of one structure: ``2.1% (1.0% by resampling, then 1.1% cut off by the frame)``."""
    native, resampled, framed = area["native"], area["resampled"], area["framed"]
    by_size = share(1 - resampled / native)
    if framed == resampled:
        return f"{by_size} (by resampling, nothing by the frame)"
    by_frame = share(1 - framed / resampled)
    return f"{share(1 - framed / native)} ({by_size} by resampling, then {by_frame} cut off by the frame)"


def share(lost: float) -> str:
    """A share as a percentage with one digit; resampling may also gain, which is a negative loss."""
    text = f"{100 * lost:.1f}%"
    return "0.0%" if text == "-0.0%" else text.replace("-", "−")


def intensity(p: Preparation) -> str:
    """How intensities become what the network sees."""
    said = [
        f"percentiles {p.percentiles[0]:g} and {p.percentiles[1]:g} of a volume to 0 and 1"
        if p.window is None
        else f"{p.window[0]:g} to 0 and {p.window[1]:g} to 1, clipped",
        *([] if p.padding is None else [f"{p.padding:g} is outside of what was scanned and becomes 0"]),
        "N4 bias correction" if p.bias_correction else "no bias correction",
    ]
    return "; ".join(said)


def splits(card: Card) -> str:
    """How a card splits its subjects."""
    s = card.splits
    if isinstance(s, SplitRule):
        one = " (one volume of each)" if s.test_volumes == "one" else ""
        return f"by rule, seed {s.seed}: {s.test} test{one} and {s.validation} validation subjects, the rest is the training pool"
    return f"fixed lists: {len(s.test)} test subjects, {len(s.pretrain)} for pretraining"
