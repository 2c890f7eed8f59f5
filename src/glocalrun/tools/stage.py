"""One stage of one data set for DVC: Snakemake makes what is missing, then every file of it is checked.

``plan`` verifies data that never was, and fetches such weights, because their contents are in the keys that it writes down.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from glocalrun.data.current import require_current
from glocalrun.plans import CARDS, plan_of
from glocalseg.config.model import ConfigError
from glocalseg.plan.jobs import Plan
from glocalseg.plan.make import UNVERIFIED, identity, verified_record
from glocalseg.plan.phases import PHASES
from glocalseg.records.files import write_atomic
from glocalseg.records.sealed import CorruptedError, open_sealed

MACHINE = Path("machine.yaml")  # mirror and hardware of this machine, not in git: they are in no key
STAGES = tuple(dict.fromkeys(phase.stage for phase in PHASES.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=("plan", *STAGES))
    parser.add_argument("dataset")
    parser.add_argument("config", type=Path)
    parser.add_argument("results", help="name of the benchmark with this data set alone")
    args = parser.parse_args()
    try:
        if args.stage == "plan":
            write_keys(args.dataset, verified_plan(args))
        else:
            make(args)
    except (ConfigError, CorruptedError) as error:
        sys.exit(str(error))


def verified_plan(args: argparse.Namespace) -> Plan:
    """The plan, with data as it was verified and weights as they were fetched; exit where it cannot be. Raises ConfigError."""
    plan = _plan(args)
    card = plan.cards[args.dataset]
    require_current(card)
    unknown = [verified_record(card)] if identity(card, CARDS) == UNVERIFIED else []
    unknown += [own.record for own in plan.bought.values() if own.sha256 is None]
    if not unknown:
        return plan
    _snakemake(args, unknown)
    return _plan(args)


def write_keys(dataset: str, plan: Plan) -> None:
    """``results/keys/<dataset>/<stage>.txt``: the records that code, configuration and data give, one a line."""
    for stage in STAGES:
        lines = [str(job.record) for job in plan.jobs.values() if PHASES[job.phase].stage == stage]
        write_atomic(keys_file(dataset, stage), "".join(f"{line}\n" for line in lines).encode())


def make(args: argparse.Namespace) -> None:
    """Let Snakemake make the records of a stage, check them, and write the summary of a report."""
    records = [Path(line) for line in keys_file(args.dataset, args.stage).read_text(encoding="utf-8").split()]
    for phase in PHASES.values():
        if phase.stage == args.stage != "report":  # a phase without runs leaves an empty folder
            (phase.folder / args.dataset).mkdir(parents=True, exist_ok=True)
    _snakemake(args, records)
    plan = _plan(args)
    if [record for record in records if record not in plan.jobs]:
        sys.exit(f"{keys_file(args.dataset, args.stage)}: code, configuration or data changed meanwhile: `dvc repro` again")
    for record in records:
        open_sealed(record)
    if args.stage == "report":
        summarise(args.dataset, plan)


def _snakemake(args: argparse.Namespace, records: list[Path]) -> None:
    """Make records with the profile that SNAKEMAKE_PROFILE names, else on this machine; exit where that fails."""
    options = [] if "SNAKEMAKE_PROFILE" in os.environ else ["--profile", "local"]
    changed = [f"datasets=[{args.dataset}]", f"name={args.results}"]
    files = [str(path) for path in (args.config, MACHINE) if path.is_file()]
    call = [sys.executable, "-m", "snakemake", *options, "--configfile", *files, "--config", *changed, "--"]
    status = subprocess.run([*call, *map(str, records)]).returncode
    if status:
        sys.exit(status)


def summarise(dataset: str, plan: Plan) -> None:
    """The main table as DVC's metrics and plots, below ``results/summary/<dataset>``."""
    from glocalseg.report.tables.export import curves, dice, metrics

    folder = Path("results/summary") / dataset
    table = plan.report.record.parent / "tables" / "main.csv"
    write_atomic(folder / "metrics.json", (json.dumps(metrics(table), indent=1) + "\n").encode())
    write_atomic(folder / "dice.csv", dice(table).encode())
    write_atomic(folder / "curves.csv", curves(plan, Path(".")).encode())


def keys_file(dataset: str, stage: str) -> Path:
    """Where the records of a stage are listed."""
    return Path("results/keys") / dataset / f"{stage}.txt"


def _plan(args: argparse.Namespace) -> Plan:
    return plan_of(args.config, datasets=[args.dataset], name=args.results)
