"""Folders that nobody described through ``draft_card`` (``make card``): refused, or a card that is one, as a file of YAML."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corruptions import Rng, corrupted, pick, spoiled_json
from worker import WrongError

from glocalseg.data.acquire.verify import verify
from glocalseg.data.cards.card import Card
from glocalseg.data.draft.make import Draft, draft_card
from glocalseg.data.draft.write import card_text
from targets import listings, nifti

NAMES = (
    "x.nii.gz",
    "case_9.nii.gz",
    "case_0.nii",
    "CASE_0.nii.gz",
    "._case_0.nii.gz",
    "case 0 (1).nii.gz",
    "{case}.nii.gz",
    "\u540d.nii.gz",
    "case_\x1b[31m.nii.gz",
    "a: b.nii.gz",
    "- x.nii.gz",
    "'.nii.gz",
    '".nii.gz',
    "#.nii.gz",
    "x\ny.nii.gz",
    "%s.nii.gz",
    "null.nii.gz",
    "1e5.nii.gz",
    ".nii.gz",
    "x" * 240 + ".nii.gz",
    "case_0_seg.nii.gz",
    "case_0_0000.nii.gz",
    "\udcff.nii.gz",
)
FOLDERS = ("imagesTr", "labelsTr", "imagesTs", ".", "deep/er", "labels", "masks")


@dataclass(frozen=True)
class Base:
    """A folder of three cases, and a ``dataset.json`` of it."""

    folder: Path
    listing: dict[str, Any]


def prepare(folder: Path) -> Base:
    base = Base(folder / "cases", listings.prepare(folder).listing)
    _drafted(base.folder)  # imports all that a draft imports
    return base


def make(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    root = folder / "cases"
    shutil.copytree(base.folder, root)
    kind = pick(rng, (_image, _image, _listing, _names, _names))
    return f"{kind.__name__[1:]}: {kind(rng, base, root)}", lambda: _drafted(root)


def _drafted(root: Path) -> str:
    draft: Draft = draft_card("tiny", root, source={"kind": "folder", "path": root.name}, workers=1)
    card: Card = draft.card(card_text(draft))
    for problem in draft.problems:
        if len(str(problem)) > 600 or not str(problem).isprintable():
            raise WrongError(f"a problem that nobody can read: {problem}")
    if card.subjects != draft.subjects.count or card.volumes != len(draft.layout.cases):
        raise WrongError(f"{card.subjects} subjects and {card.volumes} volumes, unlike the draft")
    found = verify(card, draft.layout.root)
    if not found.problems and len(found.examined) != card.volumes:
        raise WrongError(f"{len(found.examined)} volumes are verified, {card.volumes} drafted")
    return "a card with problems" if found.problems else "a card"


def _image(rng: Rng, base: Base, root: Path) -> str:
    """Damage to one or two of the files."""
    done = []
    paths = sorted(root.glob("*/*.nii.gz"))
    for at in rng.choice(len(paths), int(pick(rng, (1, 1, 2))), replace=False):
        path = paths[int(at)]
        what, data = nifti._spoil(rng, path.read_bytes())
        path.write_bytes(data)
        done.append(f"{path.parent.name}: {what}")
    return "; ".join(done)


def _listing(rng: Rng, base: Base, root: Path) -> str:
    what, data = spoiled_json(rng, base.listing)
    (root / "dataset.json").write_bytes(data)
    return what


def _names(rng: Rng, base: Base, root: Path) -> str:
    """Files that are called otherwise, in other folders, more or fewer of them."""
    done = []
    for _ in range(int(pick(rng, (1, 2, 3)))):
        path = pick(rng, sorted(p for p in root.glob("*Tr/*.nii.gz") if p.is_file()))
        target = root / pick(rng, FOLDERS) / pick(rng, NAMES)
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        how = pick(rng, ("moved", "moved", "copied", "gone", "a folder", "damaged"))
        if how in ("moved", "gone"):
            path.rename(target)
        if how == "gone":
            target.unlink()
        elif how == "copied":
            shutil.copy(path, target)
        elif how == "a folder":
            target.mkdir()
        elif how == "damaged":
            target.write_bytes(corrupted(rng, path.read_bytes())[1])
        done.append(f"{how} {target.relative_to(root).as_posix()!r:.60}")
    return "; ".join(done)
