"""The data of a configuration, fetched, verified and sliced, and a page that shows it: before anything is trained."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from glocalrun.plans import CARDS, plan_of
from glocalseg.config.model import ConfigError
from glocalseg.plan.make import UNVERIFIED, identity, verified_record
from glocalseg.records.sealed import CorruptedError


def main() -> None:
    """Print where the page is; exit with what the failing step said where there is none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--mirror", help="url or folder that holds the archives instead of their url")
    args = parser.parse_args()
    try:
        page = look(args.config, args.mirror)
    except (ConfigError, CorruptedError) as error:
        sys.exit(str(error))
    print(f"Look: {page.resolve()}")


def look(config: Path, mirror: str | None = None) -> Path:
    """Let Snakemake make the slice stores, and write the page.

    Raises:
        ConfigError: if configuration, cards and data do not fit.
        CorruptedError: if a store was changed.
    """
    plan = plan_of(config)
    new = [verified_record(card) for card in plan.cards.values() if identity(card, CARDS) == UNVERIFIED]
    if new:  # the path of a slice store holds the identity of its data, which verification finds out
        _snakemake(config, mirror, new)
        plan = plan_of(config)
    _snakemake(config, mirror, [job.record for job in plan.of("data")])
    from glocalseg.report.look.page import write_look  # seconds of imports that a failing step is spared

    return write_look(plan, Path("."))


def _snakemake(config: Path, mirror: str | None, records: list[Path]) -> None:
    """Make records with the profile that SNAKEMAKE_PROFILE names, else on this machine; exit where that fails."""
    options = [] if "SNAKEMAKE_PROFILE" in os.environ else ["--profile", "local"]
    changed = ["--config", f"mirror={mirror}"] if mirror else []
    call = [sys.executable, "-m", "snakemake", *options, "--configfile", str(config), *changed, "--", *map(str, records)]
    status = subprocess.run(call).returncode
    if status:
        sys.exit(status)
