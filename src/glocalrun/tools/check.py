"""Check every file of every finished run and slice store that the configurations give against the sha256 of when it was made."""

from __future__ import annotations

import argparse
from pathlib import Path

from glocalrun.plans import all_plans
from glocalseg.config.model import ConfigError
from glocalseg.records.sealed import CorruptedError, absent, open_kept


def problems(records: list[Path]) -> list[str]:
    """One line for every record of which a file is missing or changed."""
    found = []
    for record in records:
        try:
            open_kept(record)
        except CorruptedError as error:
            found.append(str(error))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configurations", nargs="+", type=Path)
    args = parser.parse_args()
    records: dict[Path, None] = {}
    try:
        for plan in all_plans(args.configurations):
            records |= {record: None for record in plan.jobs if record.is_file()}
    except ConfigError as error:
        raise SystemExit(str(error)) from None
    found = problems(list(records))
    bare = sum(bool(absent(record)) for record in records) if not found else 0
    without = f", {bare} without weights and predictions, from a published report" if bare else ""
    print("\n".join([*found, f"{len(records)} results checked, {len(found)} damaged{without}"]))
    raise SystemExit(1 if found else 0)
