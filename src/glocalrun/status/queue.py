"""What SLURM says of the jobs of a call."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from glocalrun.slurm.checks import ask
from glocalrun.slurm.names import RULES
from glocalrun.status.listed import Listed

PATIENCE = 5.0  # seconds that squeue may take
LOST = ("BOOT_FAIL", "CANCELLED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT")
RUNS = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED")
ENDED = (*LOST, "COMPLETED")
_TAIL = re.compile(
    r"(?P<head>.+?)(?:_n(?P<budgets>(?:all|\d+)(?:\.(?:all|\d+))*))?(?:_seed(?P<seeds>\d+(?:\.\d+)*))?"
    r"(?:_(?P<repeats>(?:r\d+|c\d+-p\d+-f\d+)(?:\.(?:r\d+|c\d+-p\d+-f\d+))*))?"
)


@dataclass(frozen=True)
class Allocation:
    """A job of SLURM, which may hold several of ours; ``state`` and ``reason`` are SLURM's words."""

    number: int
    name: str
    state: str
    reason: str = ""

    @property
    def runs(self) -> bool:
        """Whether it has a node."""
        return self.state in RUNS

    @property
    def ended(self) -> bool:
        """Whether it holds nothing any more."""
        return self.state in ENDED

    def __str__(self) -> str:
        return f"job {self.number} {self.state}{f' ({self.reason})' if self.reason else ''}"


def allocations(folder: Path, ask: Callable[..., str | None] = ask) -> list[Allocation] | None:
    """The user's jobs that were submitted from a folder, those that ended lately included; None if SLURM does not answer."""
    form = "%A|%j|%T|%r|%Z"
    whose = ("--states=all", "--user", str(os.getuid()))
    said = ask("squeue", "--noheader", *whose, "--format", form, seconds=PATIENCE)
    if said is None:
        return None
    rows = [line.strip().split("|") for line in said.splitlines() if line.count("|") == 4]
    here = folder.resolve()
    return [
        Allocation(int(number), name, state, "" if reason == "None" else reason)
        for number, name, state, reason, place in rows
        if number.isdigit() and name.startswith(tuple(f"{rule}_" for rule in RULES)) and Path(place) == here
    ]


def held(allocation: Allocation, jobs: Sequence[Listed]) -> list[Listed]:
    """Those of some jobs that an allocation's name (``slurm.names.job_name``) stands for."""
    rule = next((r for r in RULES if allocation.name.startswith(f"{r}_")), "")
    found = _TAIL.fullmatch(allocation.name.removeprefix(f"{rule}_"))
    if not found:
        return []
    budgets, seeds, repeats = (_parts(found[name]) for name in ("budgets", "seeds", "repeats"))
    phase = "data" if rule == "prepare" else rule
    of = [job for job in jobs if job.phase == phase]
    fitting = [job for job in of if job.budget in budgets and job.repeat in repeats and _seed(job) in seeds]
    heads = {(job.dataset, job.name) for job in fitting}
    named = {head for head in heads if _names(found["head"], *head)}
    return [job for job in fitting if (job.dataset, job.name) in named]


def _parts(text: str | None) -> set[str]:
    return set(text.split(".")) if text else {""}


def _seed(job: Listed) -> str:
    return "" if job.seed is None else str(job.seed)


def _names(head: str, dataset: str, name: str) -> bool:
    """Whether the beginning of a job's name, data sets and then methods with dots between, holds these two."""
    last = rf"_(?:.*\.)?{re.escape(name)}(?:\..*)?" if name else r"(?:\..*)?"
    return re.fullmatch(rf"(?:.*\.)?{re.escape(dataset)}(?:\.[a-z0-9_.]*?)?{last}", head) is not None


def latest(allocations: Iterable[Allocation], jobs: Sequence[Listed]) -> dict[str, Allocation]:
    """The newest allocation of each job, by record."""
    found: dict[str, Allocation] = {}
    for allocation in sorted(allocations, key=lambda a: a.number):
        found.update({job.record: allocation for job in held(allocation, jobs)})
    return found
