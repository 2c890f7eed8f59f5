"""The same image twice: moved, mirrored, turned or on another scale of intensities, it is still a copy that may leak into a test.

The identity of an image (its digest) holds where its header puts it, and every bit of its intensities, so a copy that was saved
anew has another one. Here an image keeps a thousand of its voxels; those whose thousand agree are read again and compared whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from glocalseg.data.images.volumes import load_image
from glocalseg.data.readers.base import Case, Problem, ReaderError

if TYPE_CHECKING:
    from glocalseg.data.acquire.examine.case import Examined
    from glocalseg.data.cards.reading import Reading

LATTICE = 10  # voxels kept along each axis
# Correlation from which two images are one: what differs is less than 1.4% of their contrast. A copy in 8 bits has 0.99998; two
# scans of one person, a minute apart, differ in noise and stay far below.
ALIKE = 0.9999
TAILS = (1.0, 99.0)  # percentiles at which voxels are clipped first: one voxel of metal must not make all the others equal
PLATEAU = 0.02  # share of voxels from which the smallest or largest value is left out: beside padding all bodies are alike
DETAIL = 0.8  # correlation of the steps from voxel to voxel: made-up scans of one geometry differ in their noise alone
TRIED = 3  # the nearest others that an image is compared with
TURNS = [
    (axes, sides) for axes in permutations(range(3)) for sides in product((1, -1), repeat=3)
]  # the grid's 48, as stored first


def sample_of(voxels: NDArray[np.float32], affine: NDArray[np.float64]) -> NDArray[np.float32]:
    """Voxels on a lattice, (10, 10, 10), counted towards right, front and top whatever way they are stored.

    The lattice is its own mirror image, and depends on nothing but the numbers of voxels: a mirrored or turned copy has the same
    voxels, mirrored and turned.

    Args:
        voxels: (X, Y, Z).
        affine: (4, 4), voxel to RAS mm.
    """
    some = voxels[np.ix_(*(_lattice(n) for n in voxels.shape))]
    return np.ascontiguousarray(_in_ras(some, affine))


def images_twice(reading: Reading, examined: Sequence[Examined]) -> Iterator[Problem]:
    """A problem for every image that an earlier case has too, under whatever header and scale of intensities."""
    first: dict[str, Case] = {}
    groups: dict[tuple[int, ...], list[tuple[Case, NDArray[np.float32]]]] = {}
    for one in examined:
        if one.image is None:
            continue
        if one.image in first:
            yield Problem(str(one.case.image), "an image of its own", f"the same voxels as {first[one.image].image}")
            continue
        first[one.image] = one.case
        if one.sample is not None and one.facts is not None and (standard := _standard(one.sample)) is not None:
            groups.setdefault(tuple(sorted(one.facts.shape)), []).append((one.case, standard))
    for group in groups.values():
        yield from _twins(reading, group)


def _twins(reading: Reading, group: list[tuple[Case, NDArray[np.float32]]]) -> Iterator[Problem]:
    """Of images of one number of voxels, those that are copies of one before."""
    ordered = np.stack([np.sort(standard, axis=None) for _, standard in group])  # the same however an image is turned
    for k, (case, standard) in enumerate(group):
        near = ordered[:k] @ ordered[k]
        for other, values in [group[i] for i in np.argsort(-near, kind="stable")[:TRIED] if near[i] >= ALIKE]:
            turn = next((turn for turn in TURNS if float(np.vdot(_turned(standard, turn), values)) >= ALIKE), None)
            if turn is not None and (how := _compared(reading, case, other, turn)):
                yield Problem(str(case.image), "an image of its own", f"the voxels of {other.image}, {how}")
                break


def _compared(reading: Reading, case: Case, other: Case, turn: Any) -> str | None:
    """How one image is a copy of another one, by all of their voxels; None if it is none."""
    try:
        one, two = load_image(reading, case.image), load_image(reading, other.image)
    except ReaderError:  # gone since it was looked at
        return None
    turned, still = _turned(_in_ras(one.voxels, one.affine), turn), _in_ras(two.voxels, two.affine)
    if turned.shape != still.shape:
        return None
    hows = ["mirrored or turned"] if turn != TURNS[0] else []
    if not np.array_equal(turned, still):
        a, b = _standard(turned), _standard(still)
        if a is None or b is None or float(np.vdot(a, b)) < ALIKE:
            return None
        a, b = _steps(turned), _steps(still)
        if a is None or b is None or float(np.vdot(a, b)) < DETAIL:
            return None
        hows.append("on another scale of intensities")
    return " and ".join(hows) or "under another header"


def _standard(voxels: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Without plateaus and tails, of mean 0 and length 1, whatever the scale; None where nothing is left."""
    if not np.isfinite(voxels).all():
        return None
    used = np.ones(voxels.shape, bool)
    for end in (voxels.min(), voxels.max()):
        if np.mean(at_end := voxels == end) >= PLATEAU:
            used &= ~at_end
    if not used.any():
        return None
    low, high = np.percentile(voxels[used], TAILS)
    if not high > low:
        return None
    values = (np.clip(voxels, low, high).astype(np.float64) - low) / (high - low)
    values = np.where(used, values - values[used].mean(), 0)
    return _of_length_1(values)


def _steps(voxels: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """From each voxel to the next, edges no higher than three times what is usual; of length 1."""
    steps = np.diff(voxels.astype(np.float64), axis=0)
    if not (some := np.abs(steps[steps != 0])).size:
        return None
    usual = 3 * float(np.median(some))
    return _of_length_1(np.clip(steps, -usual, usual) / usual)


def _of_length_1(values: NDArray[np.float64]) -> NDArray[np.float32] | None:
    length = float(np.linalg.norm(values))
    return (values / length).astype(np.float32) if length > 0 else None


def _in_ras(voxels: NDArray[np.float32], affine: NDArray[np.float64]) -> NDArray[np.float32]:
    turned: NDArray[np.float32] = nib.orientations.apply_orientation(voxels, nib.orientations.io_orientation(affine))
    return turned


def _turned(voxels: NDArray[np.float32], turn: Any) -> NDArray[np.float32]:
    axes, (x, y, z) = turn
    return voxels.transpose(axes)[::x, ::y, ::z]


def _lattice(n: int) -> NDArray[np.int64]:
    """Ten places of an axis of n, the last five the first five from the other end."""
    half = ((np.arange(LATTICE // 2) + 0.5) * n / LATTICE).astype(np.int64)
    return np.concatenate([half, n - 1 - half[::-1]])
