"""``dataset.json``, the decathlon's list of a data set: what it says, every entry looked at.

Source: the decathlon's releases (Simpson et al., arXiv 1902.09063). ``training`` pairs images with labels, ``test`` names images.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from unicodedata import normalize

from glocalseg.data.files.names import nifti_stem, text_of

LIST = "dataset.json"
LARGEST = 1 << 26  # bytes
PAIRS = "'training': [{'image': ..., 'label': ...}, ...]"


@dataclass
class Listing:
    """The pairs and the tests of a list, paths as written; what it calls channels and label values.

    ``problems`` are what was expected and what was found, ``notes`` say what is odd.
    """

    pairs: list[tuple[str, str]] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)
    channels: list[str] | None = None
    labels: dict[int, str] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_listing(path: Path) -> Listing:
    """What a list says; where it is none, one problem says so."""
    listing = Listing()
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path.stat().st_size} bytes")
        content: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        listing.problems.append(("the decathlon's list of cases (reader 'folders' needs none)", "no such file"))
        return listing
    except (OSError, ValueError, RecursionError) as error:
        listing.problems.append((f"JSON with {PAIRS}", f"{type(error).__name__}: {error}"))
        return listing
    if not isinstance(content, dict) or not isinstance(content.get("training"), list) or not content["training"]:
        listing.problems.append((f"JSON with {PAIRS}", _instead(content)))
        return listing
    listing.pairs = _pairs(content["training"], listing)
    listing.tests = _tests(content.get("test"), listing)
    for key, listed in (("numTraining", content["training"]), ("numTest", content.get("test"))):
        number = content.get(key)
        if isinstance(listed, list) and isinstance(number, int | float) and number != len(listed):
            listing.notes.append(f"its {key} is {number}, and it lists {len(listed)}")
    listing.channels = _channels(content.get("modality", content.get("channel_names")))
    listing.labels = _labels(content.get("labels"))
    return listing


@dataclass(frozen=True)
class Placed:
    """A listed path: as written, and below the data's folder; without a path, what is wrong with it."""

    text: str
    path: Path | None
    wrong: str = ""


def place(root: Path, text: str) -> Placed:
    """Where a listed file lies, if its path leads to a NIfTI file below ``root``."""
    if not text.strip() or "\0" in text:
        return Placed(text, None, "lead nowhere")
    below = _below(root, text if "\\" not in text or os.path.lexists(root / text) else text.replace("\\", "/"))
    if below is None:
        return Placed(text, None, "lead out of it")
    path = _as_stored(root / below)
    if nifti_stem(path) is None:
        return Placed(text, None, "are of no NIfTI file (.nii.gz, .nii)")
    return Placed(text, path)


def _below(root: Path, text: str) -> str | None:
    """A path relative to ``root``, without dots; None if it leads elsewhere."""
    if PurePosixPath(text).is_absolute():
        tops = (os.path.abspath(root), os.path.realpath(root))
        return next((b for top in tops if not _leads_out(b := os.path.relpath(os.path.normpath(text), top))), None)
    below = os.path.normpath(text)
    driven = PureWindowsPath(text).drive and not os.path.lexists(root / text)
    return None if driven or _leads_out(below) else below


def _as_stored(path: Path) -> Path:
    """The file of that name, however its letters are composed on the disk."""
    if path.name.isascii() or os.path.lexists(path) or not path.parent.is_dir():
        return path
    same = [p for p in path.parent.iterdir() if text_of(p.name) == normalize("NFC", path.name)]
    return same[0] if same else path


def _leads_out(below: str) -> bool:
    return below == ".." or below.startswith("../")


def _instead(content: Any) -> str:
    if not isinstance(content, dict):
        return f"{type(content).__name__} in place of keys and values"
    if "training" not in content:
        nnunet = (
            " (a list of nnU-Net's? then: reader 'folders' with image_ending: _0000)" if "file_ending" in content else ""
        )
        return f"no 'training' in it{nnunet}"
    training = content["training"]
    return "no entry under 'training'" if training == [] else f"{type(training).__name__} under 'training'"


def _pairs(entries: list[Any], listing: Listing) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    wrong: list[tuple[int, str]] = []
    several: list[tuple[int, str]] = []
    for number, entry in enumerate(entries):
        both = [_single(entry.get(key)) for key in ("image", "label")] if isinstance(entry, dict) else [None, None]
        if isinstance(both[0], str) and isinstance(both[1], str):
            pairs.append((both[0], both[1]))
        elif any(isinstance(one, list) for one in both):
            several.append((number, f"{max(len(one) for one in both if isinstance(one, list))} files"))
        else:
            wrong.append((number, _short(entry)))
    for expected, found in (("paths of an image and a label", wrong), ("one file an image and a label each", several)):
        if found:
            hint = "" if found is wrong else "; channels are the fourth dimension of one file here"
            count = f"others in {len(found)} of {len(entries)} entries"
            listing.problems.append((f"{expected} in every entry of 'training'{hint}", f"{count}, first {_at(found[0])}"))
    if twice := [pair for pair, n in Counter(pairs).items() if n > 1]:
        listing.problems.append(
            ("every case once in 'training'", f"{len(twice)} listed more than once, such as {twice[0][0]!r}")
        )
    return list(dict.fromkeys(pairs))


def _tests(entries: Any, listing: Listing) -> list[str]:
    if entries is None:
        return []
    found = (
        [_single(e.get("image")) if isinstance(e, dict) else _single(e) for e in entries]
        if isinstance(entries, list)
        else []
    )
    if not isinstance(entries, list) or not all(isinstance(one, str) for one in found):
        bad = (
            next((e for e, one in zip(entries, found, strict=True) if not isinstance(one, str)), None) if found else entries
        )
        listing.problems.append(("paths of images, one file each, under 'test'", _short(bad)))
    return list(dict.fromkeys(one for one in found if isinstance(one, str)))


def _single(value: Any) -> Any:
    """A list of one is that one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _channels(said: Any) -> list[str] | None:
    """Names of the channels, in order; None where nothing usable is said."""
    if not isinstance(said, Mapping) or not said or not all(str(key).isdecimal() for key in said):
        return None
    return [str(said[key]) for key in sorted(said, key=lambda k: int(str(k)))]


def _labels(said: Any) -> dict[int, str]:
    """Names by value, background left out: ``{"1": "spleen"}``, or ``{"spleen": 1}`` as nnU-Net writes it."""
    if not isinstance(said, Mapping):
        return {}
    return dict(sorted((value, name) for value, name in _named(said.items()) if value))


def _named(items: Iterable[tuple[Any, Any]]) -> Iterator[tuple[int, str]]:
    for key, value in items:
        if str(key).isdecimal() and isinstance(value, str):
            yield int(key), value
        elif isinstance(value, int) and not isinstance(value, bool):
            yield value, str(key)


def _at(found: tuple[int, str]) -> str:
    return f"entry {found[0] + 1}: {found[1]}"


def _short(value: Any) -> str:
    return repr(value)[:80]
