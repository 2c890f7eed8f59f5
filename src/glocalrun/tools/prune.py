"""List, or remove, computed folders whose key no configuration of the present commit gives."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from glocalrun.plans import all_plans
from glocalseg.config.model import ConfigError
from glocalseg.plan.make import verified_record
from glocalseg.plan.phases import PHASES
from glocalseg.records.digest import KEY_DIGITS

VERIFICATIONS = "data/raw/*/*/" + "[0-9a-f]" * KEY_DIGITS  # beside `files`, which were downloaded


def current(configurations: list[Path]) -> set[Path]:
    """Every folder and report record that the configurations give. Raises ConfigError."""
    paths: set[Path] = set()
    for plan in all_plans(configurations):
        paths |= {verified_record(card).parent for card in plan.cards.values()}
        paths |= {record if job.phase == "report" else record.parent for record, job in plan.jobs.items()}
    return paths


def stale(keep: set[Path]) -> list[Path]:
    """What lies below the working directory where computed things lie, and is not to be kept.

    What was downloaded is left to people, because it is dear; what was found out of it is not.
    """
    patterns = [*(phase.glob for phase in PHASES.values()), VERIFICATIONS]
    return sorted(path for pattern in patterns for path in Path(".").glob(pattern) if path not in keep)


def size(path: Path) -> int:
    """Bytes of a file or of all files of a folder."""
    return sum(p.stat().st_size for p in [path, *path.rglob("*")] if p.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configurations", nargs="+", type=Path, help="whose results are kept")
    parser.add_argument("--confirm", action="store_true", help="remove what is listed")
    args = parser.parse_args()
    try:
        found = stale(current(args.configurations))
    except ConfigError as error:
        raise SystemExit(str(error)) from None
    total = 0
    for path in found:
        total += (own := size(path))
        print(f"{own / 1e6:10.1f} MB  {path}")
        if args.confirm:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    names = ", ".join(p.stem for p in args.configurations)
    print(f"{len(found)} that no configuration of {names} gives, {total / 1e6:.1f} MB", end="")
    print(": removed" if args.confirm else "; `make prune CONFIRM=yes` removes them" if found else "")
