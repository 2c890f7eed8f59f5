"""``python -m glocalseg.golden digests | run FOLDER ENTRY...``: what `make same-bits` asks of a commit's code."""

from __future__ import annotations

import argparse
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
from glocalseg.plan.entries import code_of, digest_of, entries, modules_of
from glocalseg.records.code import closure, module_path
from glocalseg.records.trees import numbers, tree_digest

FAILED = "failed.txt"
UNSEEN = ("training.compiled", "training.device")  # what they do on a GPU, no run on a CPU shows
REFUSED = "refused.txt"  # in place of the files of a case that the code says no to
# of a record, what is no number or differs from run to run
UNCOMPARED = ("spec", "label", "device", "timing", "environment", "files", "reading")


def main() -> None:
    """Say on standard output what there is, or run some entries."""
    parser = argparse.ArgumentParser(prog="python -m glocalseg.golden")
    parser.add_argument("what", choices=["digests", "run"])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("entries", nargs="*")
    arguments = parser.parse_args()
    if arguments.what == "digests":
        print(json.dumps({entry: about(entry) for entry in entries()}))
        return
    for entry in arguments.entries:
        run(entry, arguments.folder / entry)


def about(entry: str) -> dict[str, Any]:
    """An entry's digest and generation, and what of its code a golden run does not see: UNSEEN modules, and its numbers.

    A number may be a limit that the golden run is too small to reach; 0, 1 and 2 are in every line that is written otherwise.
    """
    modules = sorted(closure(*modules_of(entry)))
    texts = {name: module_path(name).read_text(encoding="utf-8") for name in modules}
    return {
        "code": digest_of(entry),
        "generation": code_of(entry),
        "unseen": {name: tree_digest(text) for name, text in texts.items() if name.partition(".")[2] in UNSEEN},
        "numbers": sorted(number for text in texts.values() for number in numbers(text) if number not in ("0", "1", "2")),
    }


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


if __name__ == "__main__":
    main()
