"""One GPU for every job that needs one, on a machine without a scheduler, held by a lock that dies with its process.

Snakemake limits how many GPU jobs run but never says which GPU a job got (snakemake#281), and two checkouts know nothing of
each other. So each job takes a lock file of a GPU, in a folder that all checkouts of one user on one machine share.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock

from glocalrun.locks import lock_of, take
from glocalseg.config.benchmark import Hardware
from glocalseg.config.model import ConfigError

VARIABLE = "CUDA_VISIBLE_DEVICES"
POLL = 0.2  # seconds


@contextmanager
def one(hardware: Hardware) -> Iterator[str | None]:
    """The GPU that this job has until the end of the block and the only one that it sees; None where there is none.

    Where no GPU is found and none was asked for, CUDA may still know one (that of WSL has no ``/dev/nvidia0``): it is let be.
    To be entered before CUDA starts, which reads CUDA_VISIBLE_DEVICES once. Raises ConfigError as ``visible``.
    """
    devices = visible(hardware, os.environ)
    if not devices and hardware.gpus == "all":
        yield None
        return
    with lease(devices, hardware.jobs_per_gpu, lock_folder(os.environ)) as device:
        yield device


def visible(hardware: Hardware, environment: Mapping[str, str], folder: Path = Path("/dev")) -> list[str]:
    """The GPUs that jobs on this machine may use, as CUDA_VISIBLE_DEVICES takes them.

    Args:
        hardware: what the configuration allows.
        environment: where CUDA_VISIBLE_DEVICES, if set, allows no others; empty, it allows none. In a SLURM job it alone counts.
        folder: holds ``nvidia0``, ``nvidia1``, ...

    Raises:
        ConfigError: if the configuration names a GPU that is not there, or none that CUDA_VISIBLE_DEVICES allows.
    """
    told = environment.get(VARIABLE)
    allowed = None if told is None else _listed(told)
    found = [p for p in folder.glob("nvidia*") if re.fullmatch(r"nvidia[0-9]+", p.name)]
    # counted, not read off the names: in a container that was given only nvidia3, CUDA calls it 0
    there = [str(n) for n in range(len(found))]
    if hardware.gpus == []:
        return []
    if "SLURM_JOB_ID" in environment:  # SLURM has chosen, and counts from 0
        return allowed or []
    if isinstance(hardware.gpus, str):
        return there if allowed is None else allowed
    if allowed == []:
        return []
    known = list(dict.fromkeys([*there, *(allowed or [])]))
    missing = [g for g in hardware.gpus if g.isdigit() and g not in known]
    if missing:
        listed = ", ".join(known) or "none"
        raise ConfigError(f"hardware.gpus: expected GPUs that this machine has ({listed}), found {', '.join(missing)}")
    kept = [g for g in hardware.gpus if allowed is None or g in allowed]
    if hardware.gpus and not kept:
        raise ConfigError(f"hardware.gpus: expected one that {VARIABLE}={told} allows, found {', '.join(hardware.gpus)}")
    return kept


def _listed(value: str) -> list[str]:
    """The entries of CUDA_VISIBLE_DEVICES up to the first that is no GPU, which for CUDA ends the list (-1, NoDevFiles)."""
    entries = [entry.strip() for entry in value.split(",")]
    return list(dict.fromkeys(takewhile(re.compile(r"[0-9]+|(GPU|MIG)-.+").fullmatch, entries)))


def lock_folder(environment: Mapping[str, str]) -> Path:
    """The folder of this user's locks on this machine; inside a SLURM job, of that job.

    SLURM counts the GPUs of every job from 0, so that the same number in two jobs may be two GPUs. The machine's name is
    there for temporary folders on a shared file system.
    """
    parts = ["glocalseg-gpus", str(os.getuid()), platform.node(), *filter(None, [environment.get("SLURM_JOB_ID")])]
    return Path(tempfile.gettempdir()) / "-".join(quote(part, safe="") for part in parts)


@contextmanager
def lease(devices: Sequence[str], jobs_per_gpu: int, root: Path) -> Iterator[str | None]:
    """One of the GPUs, the one with the fewest jobs, until the end of the block; it waits while all are taken.

    Inside, CUDA_VISIBLE_DEVICES is that one, or nothing where there are no GPUs.

    Args:
        devices: GPUs to choose from; the first of those with equally many jobs is taken.
        jobs_per_gpu: jobs that may have the same GPU at a time.
        root: folder of the locks, made where it is missing.
    """
    if not devices:
        with _sees(""):
            yield None
        return
    device, lock = _wait(devices, jobs_per_gpu, root)
    try:
        with _sees(device):
            yield device
    finally:
        lock.release()


def _wait(devices: Sequence[str], jobs_per_gpu: int, root: Path) -> tuple[str, FileLock]:
    """A GPU and the lock of its slot, as soon as there is one."""
    said = False
    while (taken := _take(devices, jobs_per_gpu, root)) is None:
        if not said:
            jobs = "a job" if jobs_per_gpu == 1 else f"{jobs_per_gpu} jobs"
            print(f"waiting for a GPU: each of {', '.join(devices)} has {jobs} (locks: {root})", file=sys.stderr, flush=True)
            said = True
        time.sleep(POLL)
    return taken


def _take(devices: Sequence[str], jobs_per_gpu: int, root: Path) -> tuple[str, FileLock] | None:
    """The GPU with the fewest jobs and the lock of a free slot of it; None while all are taken."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock_of(root / "looking.lock"):  # one process at a time: to look at a slot is to lock it for a moment
        seen = [_look(root / f"gpu-{quote(device, safe='')}", jobs_per_gpu) for device in devices]
        fitting = [(jobs, order) for order, (jobs, _) in enumerate(seen) if jobs < jobs_per_gpu]
        chosen = min(fitting)[1] if fitting else None
        kept = None if chosen is None else seen[chosen][1][0]
        for lock in (lock for _, free in seen for lock in free if lock is not kept):
            lock.release()
    return None if chosen is None or kept is None else (devices[chosen], kept)


def _look(folder: Path, jobs_per_gpu: int) -> tuple[int, list[FileLock]]:
    """How many jobs a GPU has, those of configurations that allow more included, and its other slots, locked."""
    folder.mkdir(exist_ok=True)
    names = {p.name for p in folder.iterdir()} | {f"{slot}.lock" for slot in range(jobs_per_gpu)}
    locks = [_slot(folder / name) for name in sorted(names)]
    free = [lock for lock in locks if lock is not None]
    return len(locks) - len(free), free


def _slot(path: Path) -> FileLock | None:
    """The lock of a slot; None if another job has it."""
    lock = take(path)
    if lock is not None:
        os.utime(path)  # what cleans temporary folders goes by dates, and a lock whose file is gone locks nothing
    return lock


@contextmanager
def _sees(devices: str) -> Iterator[None]:
    """CUDA_VISIBLE_DEVICES with this value, inside the block."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = devices
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
