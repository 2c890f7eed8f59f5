"""One phase of one data set for DVC: Snakemake makes what is missing, then every file of the phase is checked."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from _program import CARDS, plan_of

from glocalseg.config import ConfigError
from glocalseg.plan import UNVERIFIED, Plan, dataset_identity
from glocalseg.provenance import CorruptedError, open_sealed, write_atomic

MACHINE = Path("machine.yaml")  # mirror and hardware of this machine, not in git: they are in no key
PHASES = {
    "data": ("data",),
    "pretrain": ("pretrain_global", "pretrain_local", "diagnose"),
    "finetune": ("finetune",),
    "report": ("report",),
}

FOLDERS = {"pretrain": ("results/pretrain", "results/diagnose"), "finetune": ("results/finetune",)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("phase", choices=("plan", *PHASES))
    parser.add_argument("dataset")
    parser.add_argument("config", type=Path)
    parser.add_argument("results", help="name of the benchmark with this data set alone")
    args = parser.parse_args()
    try:
        if args.phase == "plan":
            write_keys(args.dataset, _plan(args))
        else:
            make(args)
    except (ConfigError, CorruptedError) as error:
        sys.exit(str(error))


def write_keys(dataset: str, plan: Plan) -> None:
    """``results/keys/<dataset>/<phase>.txt``: the records that code, configuration and data give, one a line."""
    for phase, names in PHASES.items():
        lines = [str(job.record) for job in plan.jobs.values() if job.phase in names]
        write_atomic(keys_file(dataset, phase), "".join(f"{line}\n" for line in lines).encode())


def make(args: argparse.Namespace) -> None:
    """Let Snakemake make the records of a phase, check them, and write the summary of a report."""
    records = keys_file(args.dataset, args.phase).read_text().split()
    if dataset_identity(_plan(args).cards[args.dataset], CARDS) == UNVERIFIED:
        _snakemake(args, [])  # without targets it verifies the data, which gives it its identity and so all keys
        sys.exit(f"{args.dataset}: verified. Commit config/datasets/{args.dataset}.lock.json, then `dvc repro` again")
    for folder in FOLDERS.get(args.phase, ()):  # a phase without runs leaves an empty one
        (Path(folder) / args.dataset).mkdir(parents=True, exist_ok=True)
    _snakemake(args, records)
    plan = _plan(args)
    if [r for r in records if Path(r) not in plan.jobs]:
        sys.exit(f"{keys_file(args.dataset, args.phase)}: code, configuration or data changed meanwhile: `dvc repro` again")
    for record in records:
        open_sealed(Path(record))
    if args.phase == "report":
        summarise(args.dataset, plan)


def _snakemake(args: argparse.Namespace, records: list[str]) -> None:
    """Make records with the profile that SNAKEMAKE_PROFILE names, else on this machine; exit where that fails."""
    options = [] if "SNAKEMAKE_PROFILE" in os.environ else ["--profile", "local"]
    changed = [f"datasets=[{args.dataset}]", f"name={args.results}"]
    files = [str(path) for path in (args.config, MACHINE) if path.is_file()]
    call = [sys.executable, "-m", "snakemake", *options, "--configfile", *files, "--config", *changed, "--"]
    status = subprocess.run([*call, *records]).returncode
    if status:
        sys.exit(status)


def summarise(dataset: str, plan: Plan) -> None:
    """The main table as DVC's metrics and plots, below ``results/summary/<dataset>``."""
    from glocalseg.report.export import curves, dice, metrics

    folder = Path("results/summary") / dataset
    table = plan.report.record.parent / "tables" / "main.csv"
    write_atomic(folder / "metrics.json", (json.dumps(metrics(table), indent=1) + "\n").encode())
    write_atomic(folder / "dice.csv", dice(table).encode())
    write_atomic(folder / "curves.csv", curves(plan, Path(".")).encode())


def keys_file(dataset: str, phase: str) -> Path:
    """Where the records of a phase are listed."""
    return Path("results/keys") / dataset / f"{phase}.txt"


def _plan(args: argparse.Namespace) -> Plan:
    return plan_of(args.config, datasets=[args.dataset], name=args.results)


if __name__ == "__main__":
    main()
