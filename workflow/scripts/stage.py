"""One phase of one data set for DVC: Snakemake makes what is missing, then every file of the phase is checked."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from _program import CARDS

from glocalseg.config import ConfigError, load_cards, parse_benchmark
from glocalseg.plan import UNVERIFIED, Plan, dataset_identity, make_plan
from glocalseg.provenance import CorruptedError, open_sealed, write_atomic

PHASES = {
    "data": ("data",),
    "pretrain": ("pretrain_global", "pretrain_local", "diagnose"),
    "finetune": ("finetune",),
    "report": ("report",),
}


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
    call = [sys.executable, "-m", "snakemake", *options, "--configfile", str(args.config), "--config", *changed, "--"]
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
    raw: dict[str, Any] = yaml.safe_load(args.config.read_text())
    benchmark = parse_benchmark({**raw, "datasets": [args.dataset], "name": args.results}, where=str(args.config))
    return make_plan(benchmark, load_cards([args.dataset], CARDS), lock_folder=CARDS)


if __name__ == "__main__":
    main()
