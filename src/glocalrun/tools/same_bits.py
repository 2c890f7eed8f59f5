"""Enter code that gives the same bits as the last commit's under its generation, so that results keep their keys.

Of every entry of code whose digest differs from the last commit's the golden run is made with both codes, on this machine's CPU
with one thread; the present digest goes into records/generations.json only where every bit is equal. Cases that only one of the
codes has, because a setting came or went, say nothing about the others. Not compared at all is code that the run could not judge:
where what only a GPU runs has changed, or a number has, which may be a limit that the small jobs do not reach.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from glocalseg.plan.entries import TIMM
from glocalseg.records.generations import enter

TABLE = Path("src/glocalseg/records/generations.json")
PROGRAM = Path("src/glocalseg/golden/__main__.py")
DEFAULT, FAILED = "default", "failed.txt"
Files = dict[str, str]  # sha256 by path, whose first folder is the case


@dataclass(frozen=True)
class Code:
    """A checkout of the code, whose own golden program is called."""

    tree: Path

    def call(self, *words: str) -> str:
        """What its golden program says. Raises SystemExit with the program's error where it fails."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.tree / "src"),
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-m", "glocalseg.golden", *words]
        done = subprocess.run(command, cwd=self.tree, env=environment, capture_output=True, text=True, encoding="utf-8")
        if done.returncode != 0:
            raise SystemExit(f"{self.tree}: the golden run failed:\n{done.stderr.strip()}")
        return done.stdout

    def digests(self) -> dict[str, dict[str, Any]]:
        """By entry, its code's digest and generation, and what of it a golden run does not see."""
        found: dict[str, dict[str, Any]] = json.loads(self.call("digests"))
        return found

    def run(self, entries: list[str], folder: Path) -> dict[str, Files]:
        """By entry, the sha256 of every file that its golden run makes."""
        if entries:
            self.call("run", str(folder), *entries)
        return {entry: _hashes(folder / entry) for entry in entries}


def main() -> None:
    """Compare, enter, and say one line an entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("entries", nargs="*", help="only these, pretrain/gd say; all that have changed where none is named")
    args = parser.parse_args()
    with TemporaryDirectory(prefix="same-bits-") as temporary:
        raise SystemExit(same_bits(Path.cwd(), Path(temporary), args.entries))


def same_bits(root: Path, temporary: Path, only: Sequence[str] = ()) -> int:
    """Compare the code below ``root`` with that of its last commit; 1 if a golden run failed, else 0.

    Args:
        root: a checkout with changes that are not committed.
        temporary: an empty folder for the last commit's code and for what both make.
        only: entries to compare; all that have changed where none is named. The others get a generation of their own.

    Raises:
        SystemExit: if one of ``only`` is no entry, or a golden program fails.
    """
    now, before = Code(root), Code(temporary / "committed")
    _export(root, before.tree)
    if not (before.tree / PROGRAM).is_file():
        print("the last commit has no golden run: nothing to compare with")
        return 0
    new, old = now.digests(), before.digests()
    if unknown := [name for name in only if name not in new]:
        raise SystemExit(f"expected entries of code, {', '.join(list(new)[:3])}, ..., found {unknown[0]!r}")
    changed = [n for n in only or new if n in old and new[n]["generation"] != old[n]["generation"]]
    if not changed:
        print("no code has changed since the last commit that is not known to give the same bits")
        return 0
    blind = {name: why for name in changed if (why := unjudged(name, old[name], new[name]))}
    runnable = [name for name in changed if name not in blind]
    folders = temporary / "old", temporary / "new"
    with ThreadPoolExecutor() as pool:
        was, found = pool.map(lambda code, folder: code.run(runnable, folder), (before, now), folders)
    failed = False
    for name in changed:
        if name in blind:
            print(f"{name}: not comparable: {blind[name]}")
            continue
        failed |= FAILED in found[name]
        if verdict := difference(was[name], found[name]):
            print(f"{name}: {verdict}")
            if FAILED in found[name]:
                print((folders[1] / name / FAILED).read_text(encoding="utf-8").rstrip())
            continue
        enter(name, code=new[name]["code"], same_as=old[name]["code"], table=root / TABLE)
        count = len(_cases(was[name]) & _cases(found[name]))
        print(f"{name}: same bits in {count} cases, entered under generation {old[name]['generation'][:10]}")
    return int(failed)


def unjudged(entry: str, old: dict[str, Any], new: dict[str, Any]) -> str | None:
    """Why a golden run could not judge an entry's code on this machine; None if it can."""
    if entry.endswith(TIMM) and not find_spec("timm"):
        return "timm is not installed here"
    unseen = [name for name, digest in old["unseen"].items() if new["unseen"].get(name) != digest]
    if unseen:
        return f"{unseen[0]} has changed, of which a CPU does not run all"
    gone = Counter(old["numbers"]) - Counter(new["numbers"])
    return f"the number {min(gone)} has gone from its code: a limit, perhaps, that small jobs do not reach" if gone else None


def difference(old: Files, new: Files) -> str | None:
    """Why two golden runs cannot be called the same; None if every bit of the cases that both have is equal."""
    for name, files in (("the last commit's", old), ("the present", new)):
        if FAILED in files:
            return f"not comparable: {name} code fails in the golden run"
    both = _cases(old) & _cases(new)
    if DEFAULT not in both:
        return "not comparable: there is no golden run of it"
    names = sorted(name for name in {*old, *new} if _case(name) in both)
    if other := [name for name in names if old.get(name) != new.get(name)]:
        return f"other bits in {other[0]}" + (f" and {len(other) - 1} more of {len(names)} files" if len(other) > 1 else "")
    return None


def _case(file: str) -> str:
    return file.split("/")[0]


def _cases(files: Files) -> set[str]:
    return {_case(file) for file in files}


def _export(root: Path, tree: Path) -> None:
    """The library's code as the last commit has it."""
    call = ["git", "archive", "--format=tar", "HEAD", "src"]
    done = subprocess.run(call, cwd=root, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"{root}: expected a git repository with a commit, found: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(tree, filter="data")


def _hashes(folder: Path) -> Files:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
