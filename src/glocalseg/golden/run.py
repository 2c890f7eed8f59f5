"""Run the cases of an entry and leave the files whose bits count."""

from __future__ import annotations

import json
import shutil
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from glocalseg.config.model import ConfigError
from glocalseg.golden.cases import DEFAULT, cases
from glocalseg.golden.inputs import Inputs

FAILED = "failed.txt"
REFUSED = "refused.txt"  # in place of the files of a case that the code says no to
# of a record, what is no number or differs from run to run
UNCOMPARED = ("spec", "label", "device", "timing", "environment", "files", "digest", "reading")


def run(entry: str, folder: Path) -> None:
    """Fill a folder with the files of an entry's cases whose bits count, a folder a case; with FAILED alone if one fails."""
    folder.mkdir(parents=True)
    try:
        with TemporaryDirectory() as temporary:
            for name, make in cases(entry, Inputs(Path(temporary))):
                here = folder / name
                here.mkdir()
                try:
                    make(here)
                except ConfigError:
                    if name == DEFAULT:
                        raise
                    shutil.rmtree(here)
                    (folder / name).mkdir()
                    (here / REFUSED).touch()
                _keep_bits(here)
    except Exception:
        shutil.rmtree(folder)
        folder.mkdir()
        (folder / FAILED).write_text(traceback.format_exc(), encoding="utf-8")


def _keep_bits(folder: Path) -> None:
    """Leave of a job's folder what has to be the same: no times, no speeds, nothing that says with what it was made."""
    for record in [p for name in ("run.json", "manifest.json") for p in folder.glob(name)]:
        record.with_name(f".{record.name}").unlink()
        payload: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        kept = {key: value for key, value in payload.items() if key not in UNCOMPARED}
        record.write_text(json.dumps(kept, sort_keys=True), encoding="utf-8")
    for log in folder.glob("log.csv"):
        table = pd.read_csv(log, dtype=str)
        table.drop(columns="images_per_second").to_csv(log, index=False)
    shutil.rmtree(folder / "files", ignore_errors=True)  # what data was prepared from
