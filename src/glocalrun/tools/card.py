"""Draft the card of a data set from a folder or an archive: ``config/datasets/<name>.yaml``, to be finished by hand."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from glocalrun.plans import CARDS
from glocalseg.config.model import ConfigError
from glocalseg.data.acquire.examine.summary import gather
from glocalseg.data.acquire.shared import FetchError
from glocalseg.data.acquire.verify import Verified, verify
from glocalseg.data.draft.make import Draft, DraftError, draft_card, fitting_name, unpacked
from glocalseg.data.draft.write import card_text
from glocalseg.records.files import write_atomic

ROWS = 12  # of the table of subjects
SHOWN = 30  # problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="folder of the files, or an archive of them (tar, zip)")
    parser.add_argument("--name", help="of the data set: small letters, digits and _")
    parser.add_argument("--force", action="store_true", help="replace a card that is there")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes; changes nothing in the card")
    args = parser.parse_args()
    if args.folder is None or args.name is None:
        raise SystemExit("expected a folder or an archive, and a name: make card FOLDER=<folder or archive> NAME=<name>")
    try:
        make(args.folder, args.name, force=args.force, workers=args.workers)
    except (ConfigError, DraftError, FetchError) as error:
        raise SystemExit(str(error)) from None


def make(where: Path, name: str, *, force: bool, workers: int) -> None:
    """Write the card, and tell what was found. Raises ConfigError, DraftError, FetchError."""
    card = CARDS / f"{fitting_name(name)}.yaml"
    if card.exists() and not force:
        raise ConfigError(f"{card}: expected no card of that name, found one (FORCE=yes replaces it)")
    with ExitStack() as stack:
        top, source = _opened(where, stack)
        draft = draft_card(name, top, source=source, workers=workers)
        text = card_text(draft)
        checked = verify(draft.card(text), draft.layout.root, workers=workers)
        write_atomic(card, text.encode())
        for line in (*_found(draft, where), *_checked(checked), *_next(draft, card, where)):
            print(line if top == where else line.replace(f"{top}/", ""))  # where it was unpacked is gone by then


def _opened(where: Path, stack: ExitStack) -> tuple[Path, dict[str, Any]]:
    """The folder to look at, and what the card says of its source."""
    if where.is_dir():
        here = Path.cwd()
        inside = where.resolve().is_relative_to(here.resolve())
        return where, {
            "kind": "folder",
            "path": str(where.resolve().relative_to(here.resolve()) if inside else where.resolve()),
        }
    if not where.is_file():
        raise ConfigError(f"{where}: expected a folder, or an archive (tar, zip), found nothing there")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="glocalseg-card-")))
    return folder, unpacked(where, folder)


def _found(draft: Draft, where: Path) -> Iterable[str]:
    layout, subjects = draft.layout, draft.subjects
    below = draft.source.get("root", draft.source.get("path"))
    yield f"{where}: reader {layout.reader.kind} in {below}: {layout.pairs} volumes with a label, {len(draft.unlabelled)} without"
    for other in layout.others:
        yield f"  not used: {other}"
    yield f"{subjects.count} subjects: {subjects.why}"
    volumes = sorted(subjects.of)
    width = max(len(volume) for volume in volumes[:ROWS])
    yield from (f"  {volume:{width}}  ->  {subjects.of[volume]}" for volume in volumes[:ROWS])
    if len(volumes) > ROWS:
        yield f"  and {len(volumes) - ROWS} more"
    if not subjects.told:
        yield "  If one person has several volumes, the card must say so: splits are by person."
    for v in draft.structures.found:
        stray = ", taken for a stray: background" if v.value in draft.structures.strays else ""
        called = "" if stray else f" ({draft.structures.names[draft.structures.classes[v.value]]})"
        yield f"label value {v.value}{called}: in {v.volumes} of {draft.structures.labelled} labels, {v.voxels} voxels{stray}"
    yield f"slice axis {draft.axis.axis}: {draft.axis.why}"
    chosen = draft.frame.chosen
    yield (
        f"frame of {chosen.size} x {chosen.size} pixels of {chosen.spacing:g} mm: labels need {draft.frame.needed:.0f} mm around "
        f"the centre of the slices, and have {chosen.side:.0f}"
    )


def _checked(found: Verified) -> Iterable[str]:
    problems = [str(problem) for problem in found.problems]
    for note in gather(found.notes):
        yield f"note: {note}"
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        yield f"{count}, to be mended in the files or in the card before anything runs (`ignore: [...]` there leaves files out):"
    yield from (f"  {problem}" for problem in problems[:SHOWN])
    if len(problems) > SHOWN:
        yield f"  and {len(problems) - SHOWN} more"


def _next(draft: Draft, card: Path, where: Path) -> Iterable[str]:
    mirror = f" MIRROR={where.resolve().parent}" if draft.source["kind"] == "archive" else ""
    yield f"Card: {card}"
    look = f"make look CONFIG=config/<benchmark>.yaml{mirror}"
    yield f"Next: finish it, name it in a benchmark (datasets: [{draft.name}]), and look: {look}"
