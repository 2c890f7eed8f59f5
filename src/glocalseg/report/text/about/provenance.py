"""What made the numbers: from the runs' own records."""

from __future__ import annotations

from collections import Counter
from typing import Any

from glocalseg.plan.jobs import Plan
from glocalseg.records.duration import duration
from glocalseg.report.collected.collect import Collected
from glocalseg.report.text.fact import Fact, listed
from glocalseg.report.text.names import display, plain


def provenance(plan: Plan, collected: Collected) -> list[Fact]:
    """Commits, packages, devices and keys of the runs, counted where runs differ."""
    environments = [p.get("environment", {}) for p in collected.payloads.values()]
    devices = [_device(p["device"]) for p in collected.payloads.values() if "device" in p]  # scores have none
    total = float(collected.timings["wall_seconds"].sum())
    said = [
        Fact("Runs", f"{collected.finished} of {collected.runs} finished; {_checked(collected)}"),
        Fact("Computing time", f"{duration(total)}, runs added up"),
        Fact("Commit", _counted([str(e.get("commit") or "not recorded") for e in environments])),
        Fact("Python", _counted([str(e.get("python")) for e in environments])),
        Fact("Packages", _counted([_packages(e) for e in environments])),
        Fact("System", _counted([str(e.get("system")) for e in environments])),
        Fact("Device", _counted(devices)),
        Fact("Report", plan.report.record.stem.removeprefix("report-")),
    ]
    said += _bare(collected)
    said += [Fact(f"Slice store, {job.dataset}", job.record.parent.name) for job in plan.of("data")]
    return said


def _checked(collected: Collected) -> str:
    return "the sha256 of every file that is here was checked" if collected.bare else "every file's sha256 was checked"


def _bare(collected: Collected) -> list[Fact]:
    """Whose predictions are not here, in one line; nothing where all are."""
    cells = Counter(f"{plain(display(job.name))} n{job.budget}" for job in collected.bare if job.phase == "finetune")
    tuned = int((collected.timings["phase"] == "finetune").sum())
    if not cells:
        return []
    if cells.total() == tuned:
        return [
            Fact("Predictions", f"none of {tuned} fine-tunings' are here: the runs came without, so there is no picture")
        ]
    whose = listed([f"{cell} ({n})" for cell, n in cells.items()])
    return [Fact("Predictions", f"those of {cells.total()} of {tuned} fine-tunings are not here, nor in a picture: {whose}")]


def _packages(environment: dict[str, Any]) -> str:
    return ", ".join(f"{name} {found}" for name, found in environment.get("packages", {}).items())


def _device(device: dict[str, Any]) -> str:
    return f"{device.get('type')}, {device.get('name')}, {device.get('precision')}, threads: {device.get('threads')}"


def _counted(values: list[str]) -> str:
    counts = Counter(values).most_common()
    if len(counts) == 1:
        return counts[0][0]
    return "; ".join(f"{value} ({n} jobs)" for value, n in counts)
