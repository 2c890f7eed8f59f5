"""What is wrong with an image that a model is given, or odd about it: what verification looks for, channels, and the frame."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from glocalseg.data.acquire.examine.case import PIXELS
from glocalseg.data.acquire.examine.intensities import check_intensities
from glocalseg.data.acquire.examine.window import check_window
from glocalseg.data.cards.reading import Frame, Preparation
from glocalseg.data.images.nifti import Nifti
from glocalseg.data.images.volumes import Image
from glocalseg.data.readers.base import Note, Problem, ReaderError
from glocalseg.data.slices.geometry import canonical_grid, resampled_size

MORE = 0.02  # share of the area, beyond that of the training volumes, from which the frame is told


def check_image(preparation: Preparation, image: Image, *, usual: float, name: str) -> list[Note]:
    """What is odd about an image that is to be labelled. Raises ReaderError if it cannot be.

    Args:
        usual: largest share of a slice's area that the frame left out of the volumes that the model knows.
    """
    if not image.voxels.size:
        raise ReaderError([Problem(name, "an image that is not constant", f"shape {image.voxels.shape}")])
    found = check_intensities(preparation, image.voxels, Path(name))
    if found.problems:
        raise ReaderError(found.problems)
    problems, notes = check_window(preparation, image.voxels, None, Path(name))
    if problems:
        raise ReaderError(problems)
    return [*found.notes, *notes, *_check_frame(preparation, image, usual, name)]


def channel_notes(read: Nifti, channel: int, *, name: str) -> list[Note]:
    """A note where a file holds more than the channel that is used: several contrasts, or a series."""
    text = f"channel {channel} of {read.channels} (counted from 0) is used, what the others show is not labelled"
    return [Note(name, text)] if read.channels > 1 else []


def summed(notes: Iterable[Note]) -> list[str]:
    """Notes as lines, those that say the same of several files as one."""
    files: dict[str, list[str]] = {}
    for note in notes:
        files.setdefault(note.text, []).append(note.file)
    return [
        str(Note(of[0], text)) if len(of) == 1 else f"{len(of)} files, such as {Note(of[0], text)}"
        for text, of in files.items()
    ]


def beyond_frame(frame: Frame, rows: int, columns: int) -> float:
    """Share of the area of a slice, of so many pixels at the frame's spacing, that the frame leaves out: in [0, 1)."""
    return 1 - min(rows, frame.size[0]) * min(columns, frame.size[1]) / (rows * columns)


def _check_frame(preparation: Preparation, image: Image, usual: float, name: str) -> list[Note]:
    """How much of the slices the model cannot see, and that is background therefore.

    Raises ReaderError where slices have no size that the network could be shown, or their axes cannot be told.
    """
    frame = preparation.frame
    try:
        (_, height, width), spacing = canonical_grid(image.voxels.shape, image.affine, preparation.slice_axis)
        rows, columns = resampled_size((height, width), spacing[1:], frame.spacing)
    except ValueError as error:
        raise ReaderError([Problem(name, "an image that can be prepared", str(error))]) from None
    if not PIXELS[0] <= min(rows, columns) <= max(rows, columns) <= PIXELS[1]:
        found = f"{rows} x {columns} (stored: {height} x {width} of {spacing[1]:.4g} x {spacing[2]:.4g} mm)"
        expected = f"slices of {PIXELS[0]} to {PIXELS[1]} pixels on a side at the spacing of the model's frame"
        raise ReaderError([Problem(name, expected, found)])
    beyond = beyond_frame(frame, rows, columns)
    if not beyond or beyond <= usual + MORE:
        return []
    sides = [n * s for n, s in zip(frame.size, frame.spacing, strict=True)]
    seen = f"{sides[0]:g} x {sides[1]:g} mm around the centre of a slice"
    known = f", where its training volumes had at most {usual:.1%}" if usual else ""
    return [
        Note(name, f"{beyond:.1%} of its slices' area lies beyond what the model sees, {seen}: all background there{known}")
    ]
