"""Which finished runs have to be made again although they are here: those without arrays from which another run is to start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from glocalseg.plan.jobs import Plan
from glocalseg.records.sealed import CorruptedError, absent


def lacking(plan: Plan, made: Callable[[Path], bool], root: Path = Path(".")) -> frozenset[Path]:
    """The records below ``root`` that are there without the weights, predictions or slices that a run to be made reads.

    A run that came from a published report is finished, and nothing asks for its arrays as long as all that starts from it is
    there, too. One that starts from a run that is made again for this reason, and is there, stays as it is: its key says that it
    was made of the same specification.

    Args:
        plan: all jobs, each after those that it starts from.
        made: whether a job is to be made, by its record.
    """
    found: set[Path] = set()
    for job in reversed(list(plan.jobs.values())):
        if job.phase != "report" and (job.record in found or made(job.record)):
            found |= {parent for parent in job.parents if _bare(root / parent)}
    return frozenset(found)


def _bare(record: Path) -> bool:
    try:
        return record.is_file() and bool(absent(record))
    except CorruptedError:
        return True  # nobody knows what is there
