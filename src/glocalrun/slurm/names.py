"""What the jobs of a cluster are called: by what they do."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence

from glocalseg.plan.jobs import Job
from glocalseg.plan.phases import PHASES

# the rules that are submitted: names of our jobs begin with one of them
RULES = ("verify", "prepare", *(name for name in PHASES if name not in ("data", "report")))


def job_name(rule: str, jobs: Sequence[Job]) -> str:
    """``finetune_hippocampus_gd+lr_n1_r2``; where several runs share an allocation, ``n1.2.8`` names all of them."""
    parts = [rule, *_values("", [job.dataset or job.name for job in jobs])]
    if any(job.dataset for job in jobs):
        parts += _values("", [job.name for job in jobs])
    parts += _values("n", [job.budget for job in jobs])
    parts += _values("seed", [job.seed for job in jobs])
    parts += _values("", [job.repeat.name if job.repeat else "" for job in jobs])
    return "_".join(parts)


def _values(letter: str, values: Iterable[object]) -> list[str]:
    different = list(dict.fromkeys(str(v) for v in values if v not in (None, "")))
    different.sort(key=_by_numbers)
    return [letter + ".".join(different)] if different else []


def _by_numbers(text: str) -> list[tuple[int, str]]:
    """Sort key: numbers in a text by their value and before letters, so that r2 comes before r10, and 10 before all."""
    return [(int(part), "") if part.isdigit() else (sys.maxsize, part) for part in re.split(r"(\d+)", text) if part]
