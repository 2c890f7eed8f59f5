"""What is wrong or odd about the intensities of an image: gaps in it, nothing in it, values that stand for outside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glocalseg.data.cards.reading import Preparation
from glocalseg.data.readers.base import Note, Problem
from glocalseg.data.slices.intensity import Ends, indistinct, limits, outside_of

USUAL = (
    -1000,
    -1024,
    -2000,
    -2048,
    -3024,
    -32768,
    32767,
    65535,
)  # values that scanners and converters write outside the body
SHARE = 0.001  # of the voxels, from which one value may be padding
GAP, USUAL_GAP = 0.25, 0.02  # of the range of all others, from which it lies apart from them
HARM = 2.0  # times by which contrast must shrink before padding is an error
ENOUGH = 2_000_000  # voxels that percentiles are estimated from


@dataclass(frozen=True)
class Apart:
    """A value at an end of an image's intensities that many voxels have and that lies apart from the next one."""

    value: float
    share: float
    next: float
    shrinks: float  # times by which the range between the card's percentiles is smaller without it
    beyond: bool  # whether it lies further from the next than all the others from each other

    @property
    def said(self) -> str:
        """As a message has it."""
        end = "smallest" if self.value < self.next else "largest"
        return f"{self.share:.1%} of its voxels hold {self.value:g}, its {end} value, the next is {self.next:g}"


@dataclass(frozen=True)
class Intensities:
    """What was found of an image's; ``ends`` are those that become 0 and 1, None where the image cannot be prepared.

    ``padded`` says whether voxels hold the card's padding.
    """

    problems: list[Problem]
    notes: list[Note]
    ends: Ends | None = None
    padded: bool = False


def check_intensities(preparation: Preparation, image: NDArray[np.float32], path: Path) -> Intensities:
    """Problems and notes of an image, of any shape."""
    image = image.ravel(order="K")  # in the order of memory, which is many times faster than that of the axes
    low, high = image.min(), image.max()
    if not np.isfinite(low) or not np.isfinite(high):  # NaN is the minimum wherever there is one
        return Intensities([_not_finite(image, path)], [])
    if low == high:
        return Intensities([Problem(str(path), "an image that is not constant", f"{low:g} everywhere")], [])
    notes = []
    if not any(np.any((part > low) & (part < high)) for part in np.array_split(image, 64)):
        notes.append(Note(str(path), f"an image of two values only, {low:g} and {high:g}"))
    outside = outside_of(preparation, image)
    body = image if outside is None else image[~outside]
    padded = outside is not None and bool(outside.any())
    ends = limits(preparation, body)
    if problem := indistinct(preparation, ends, name=str(path)):
        return Intensities([problem], notes, padded=padded)
    if preparation.window is not None:
        return Intensities([], notes, ends, padded)  # ``window`` looks what it leaves
    apart = [found for side in (1, -1) if (found := _apart(preparation, body, side, float(ends[1] - ends[0])))]
    harmful = [a for a in apart if a.value != 0 and a.beyond and a.shrinks >= HARM]  # 0 around an organ is usual in MR
    expected = f"percentiles {preparation.percentiles} of what was scanned"
    advice = "('padding: {:g}' in the card leaves it out, 'window' fixes the range)"
    problems = [
        Problem(str(path), expected, f"{a.said}: contrast shrinks {a.shrinks:.3g} times {advice.format(a.value)}")
        for a in harmful
    ]
    hint = "outside of what was scanned? 'padding: {:g}' in the card leaves it out"
    notes += [Note(str(path), f"{a.said}: {hint.format(a.value)}") for a in apart if a not in harmful]
    return Intensities(problems, notes, ends, padded)


def _not_finite(image: NDArray[np.float32], path: Path) -> Problem:
    bad = image.size - int(np.count_nonzero(np.isfinite(image)))
    infinite = int(np.count_nonzero(np.isinf(image)))
    what = "NaN" if not infinite else "infinite" if infinite == bad else "NaN or infinite"
    return Problem(str(path), "finite voxels", f"{bad} of {image.size} are {what}")


def _apart(preparation: Preparation, body: NDArray[np.float32], side: int, taken: float) -> Apart | None:
    """The smallest (1) or largest (-1) value, if it may be padding.

    Args:
        taken: the range between the card's percentiles, this value included.
    """
    value = body.min() if side == 1 else body.max()
    count = int(np.count_nonzero(body == value))
    reaches = preparation.percentiles[0] if side == 1 else 100 - preparation.percentiles[1]
    if count == body.size or count / body.size < min(SHARE, reaches / 100):
        return None
    beside = body != value
    following = body.min(where=beside, initial=np.inf) if side == 1 else body.max(where=beside, initial=-np.inf)
    gap = abs(float(following) - float(value))
    some = body[:: max(1, body.size // ENOUGH)]
    some = some[some != value]
    if not some.size:
        return None
    low, first, last, high = np.percentile(some, [preparation.percentiles[0], 1, 99, preparation.percentiles[1]])
    least = USUAL_GAP if float(value) in USUAL else GAP
    if not last > first or not gap > least * float(last - first):
        return None
    shrinks = taken / float(high - low) if high > low else np.inf
    return Apart(float(value), count / body.size, float(following), shrinks, gap > float(last - first))
