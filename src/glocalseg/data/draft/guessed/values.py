"""Label values to structures: which there are, how common, what they are called, and which look like strays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glocalseg.data.cards.reading import nameable
from glocalseg.data.draft.measured.volume import Measured

RARE_VOLUMES, RARE_VOXELS = (
    0.05,
    0.001,
)  # shares of labelled volumes and of labelled voxels below which a value is taken for a stray


@dataclass(frozen=True)
class Value:
    """A label value: in how many volumes, voxels in all, and the median of a volume that has it."""

    value: int
    volumes: int
    voxels: int
    median: int


@dataclass(frozen=True)
class Structures:
    """``names`` by class from 1; ``classes`` by value; ``strays`` count as background."""

    names: dict[int, str]
    classes: dict[int, int]
    strays: list[int]
    found: list[Value]
    named: bool  # by the data's own list
    labelled: int  # volumes
    without: list[str]  # volumes whose label holds no structure
    missing: list[str]  # names of the list that no label has
    broken: list[str]  # volumes with values that are no whole numbers

    @property
    def plain(self) -> bool:
        """Whether values are the classes."""
        return all(value == number for value, number in self.classes.items())


def structures_of(measured: Sequence[Measured], listed: Mapping[str, Any]) -> Structures:
    """What all labels hold; ``listed`` is ``dataset.json``, or nothing."""
    labelled = [m for m in measured if m.values is not None]
    counts: dict[int, list[int]] = {}
    broken = []
    for m in labelled:
        for value, voxels in (m.values or {}).items():
            if float(value).is_integer():
                counts.setdefault(int(value), []).append(voxels)
            elif m.case.volume not in broken:
                broken.append(m.case.volume)
    found = [Value(v, len(n), sum(n), sorted(n)[len(n) // 2]) for v, n in sorted(counts.items())]
    names = _names(listed)
    total = sum(one.voxels for one in found)
    rare = [
        one.value
        for one in found
        if one.value not in names
        and one.volumes <= max(1, RARE_VOLUMES * len(labelled))
        and one.voxels < RARE_VOXELS * total
    ]
    strays = rare if len(labelled) > 1 and len(rare) < len(found) else []
    kept = [one.value for one in found if one.value not in strays]
    classes = {value: number for number, value in enumerate(kept, 1)}
    named = bool(kept) and all(value in names for value in kept) and len({names[v] for v in kept}) == len(kept)
    called = {number: names[value] if named else f"structure {number}" for value, number in classes.items()}
    return Structures(
        names=called or {1: "structure 1"},
        classes=classes,
        strays=strays,
        found=found,
        named=named,
        labelled=len(labelled),
        without=[m.case.volume for m in labelled if not any(v in classes for v in m.values or {})],
        missing=[name for value, name in sorted(names.items()) if value and value not in counts],
        broken=broken,
    )


def _names(listed: Mapping[str, Any]) -> dict[int, str]:
    """Names by value, of ``{"1": "anterior"}`` as in the decathlon or ``{"anterior": 1}`` as in nnU-Net."""
    labels = listed.get("labels")
    if not isinstance(labels, dict):
        return {}
    names = {}
    for one, other in labels.items():
        value, name = (other, one) if isinstance(other, int) else (one, other)
        try:
            names[int(value)] = " ".join(str(name).replace(",", " ").replace('"', " ").split())
        except (TypeError, ValueError):
            continue
    return {value: name for value, name in names.items() if nameable(name)}
