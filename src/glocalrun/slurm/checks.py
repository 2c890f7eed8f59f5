"""What a SLURM cluster is asked before a run, so that what cannot work is said before anything is submitted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from glocalrun.slurm.names import RULES

Ask = Callable[..., str | None]
COMMANDS = ("sbatch", "squeue", "scancel", "sinfo")


@dataclass(frozen=True)
class Request:
    """What one kind of job asks for: ``runtime`` in minutes, ``mem_mb`` in MB, ``gpu`` a number, ``model`` of GPU or empty."""

    rule: str
    partition: str = ""
    threads: int = 1
    mem_mb: int = 0
    runtime: int = 0
    gpu: int = 0
    model: str = ""


@dataclass(frozen=True)
class Node:
    """What one kind of node of a partition has: ``minutes`` a job may take (None: any), ``gres`` as SLURM writes it."""

    partition: str
    default: bool
    minutes: int | None
    cpus: int
    mem_mb: int
    gres: str


def ask(*command: str, seconds: float = 20) -> str | None:
    """What a command prints; None if it is not there, fails or does not answer in time."""
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=seconds, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def problems(
    requests: Iterable[Request], folder: Path, *, ask: Ask = ask, which: Callable[[str], str | None] = shutil.which
) -> list[str]:
    """What is missing on this cluster, one plain line each; empty if the run can start.

    Args:
        requests: what the jobs of the run ask for.
        folder: the repository's root, from which the jobs run.
        ask: prints of a command, as ``ask``.
        which: path of a program, as ``shutil.which``.
    """
    absent = [name for name in COMMANDS if which(name) is None]
    if absent:
        return [
            f"{', '.join(absent)}: expected SLURM's commands, found none on this machine. Start on a login node of the "
            "cluster (`module load slurm` may be needed), or run here with `--profile local`"
        ]
    said = ask("sinfo", "--all", "--noheader", "--format", "%R|%P|%l|%c|%m|%G")
    if said is None:
        return ["sinfo: expected SLURM's controller to answer, it did not. `sinfo` says why; try again when it works"]
    nodes = parse_nodes(said)
    found = [line for request in dict.fromkeys(requests) for line in _unfit(request, nodes)]
    return [*dict.fromkeys(found), *_left_running(folder, ask)]


def parse_nodes(said: str) -> list[Node]:
    """The nodes that ``sinfo --format %R|%P|%l|%c|%m|%G`` lists."""
    nodes = []
    for line in said.splitlines():
        fields = line.strip().split("|")
        if len(fields) == 6:
            name, marked, limit, cpus, memory, gres = fields
            held = "" if gres == "(null)" else gres
            nodes.append(Node(name, marked.endswith("*"), minutes(limit), _number(cpus), _number(memory), held))
    return nodes


def _number(text: str) -> int:
    return int(re.sub(r"\D", "", text) or 0)  # sinfo writes 32+ where nodes differ


def minutes(limit: str) -> int | None:
    """Minutes of ``days-hours:minutes:seconds`` in any of SLURM's shorter forms; None for no limit."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", limit.strip())
    if not found:
        return None
    days, *rest = found.groups()
    numbers = [int(part) for part in rest if part is not None]
    if days is not None:  # days-hours[:minutes[:seconds]]
        hours, mins = (*numbers, 0)[:2]
        return (int(days) * 24 + hours) * 60 + mins
    return numbers[0] * 60 + numbers[1] if len(numbers) == 3 else numbers[0]


def _unfit(request: Request, nodes: Sequence[Node]) -> list[str]:
    """Why the jobs of a rule would be refused or wait for ever."""
    names = sorted({node.partition for node in nodes})
    named = request.partition.split(",")  # sbatch takes several, and the first that is free
    own = [n for n in nodes if n.partition in named] if request.partition else [n for n in nodes if n.default]
    where = f"partition {own[0].partition!r}" if own else ""
    if not own or (request.partition and not set(named) <= set(names)):
        told = f"found {request.partition!r}" if request.partition else "found none given and no default one"
        return [f"slurm_partition: expected one of {', '.join(names)}, {told} (profiles/slurm/config.yaml)"]
    limit = max((node.minutes or 10**9) for node in own)
    lines = []
    if request.runtime > limit:
        lines.append(f"{request.rule}: runtime: expected at most {limit} minutes in {where}, found {request.runtime}")
    for key, asked, most in (
        ("threads", request.threads, max(node.cpus for node in own)),
        ("mem_mb", request.mem_mb, max(node.mem_mb for node in own)),
    ):
        if asked > most:
            lines.append(f"{request.rule}: {key}: expected at most {most}, the largest node of {where}, found {asked}")
    gres = ",".join(node.gres for node in own)
    if request.gpu and not re.search(r"\bgpu\b", gres):
        lines.append(
            f"{request.rule}: gpu: expected 0, because {where} has no GPUs, found {request.gpu}: name another partition, or "
            "set gpu to 0 in profiles/slurm/config.yaml to train on CPUs"
        )
    elif request.gpu and request.model and not re.search(rf"\bgpu:{re.escape(request.model)}\b", gres):
        lines.append(f"{request.rule}: gpu_model: expected a model of {where} ({gres}), found {request.model!r}")
    return lines


def _left_running(folder: Path, ask: Ask) -> list[str]:
    """Jobs of an earlier call that still run here: the same runs would be made twice at the same time."""
    said = ask("squeue", "--noheader", "--user", str(os.getuid()), "--format", "%A|%j|%Z") or ""
    rows = [line.strip().split("|") for line in said.splitlines() if line.count("|") == 2]
    ours = [
        row
        for row in rows
        if row[1].startswith(tuple(f"{rule}_" for rule in RULES)) and row[0] != os.environ.get("SLURM_JOB_ID")
    ]
    left = [(number, name) for number, name, place in ours if Path(place).resolve() == folder.resolve()]
    if not left:
        return []
    numbers = " ".join(number for number, _ in left)
    return [
        f"squeue: expected no jobs of an earlier call in {folder}, found {len(left)} ({left[0][1]}, ...). "
        f"Wait for them, or end them with `scancel {numbers}`; then give the same command again"
    ]
