"""Names of files: which are volumes, which look like data, which are shadows, and which a card leaves out on purpose."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

NIFTI = (".nii.gz", ".nii")
RESOURCES = "__MACOSX"  # a folder of what macOS knows of other files, in archives that it packs
VOLUMES = re.compile(
    r"\.(nii|hdr|img|mha|mhd|nrrd|nhdr|dcm|dicom|ima|mgz|mgh|mnc|gipl|raw|zraw|npy|npz|h5|hdf5|mat|tiff?)(?![a-z0-9])"
)
PACKED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip", ".7z", ".rar", ".tar", ".tgz")
ABOUT = re.compile(
    r"\.(json|txt|md5|sha\d+|csv|tsv|xml|html?|log|ya?ml|dvc|md|pdf)$"
)  # x.nii.gz.md5 tells of data and is none
HEAD = 352  # bytes: a NIfTI header with its magic
LONGEST = 200  # bytes of a volume's name, so that a file can be called after it


def text_of(name: str) -> str:
    """A name on the disk as text: its bytes are UTF-8 whatever the locale, composed letters are one (NFC)."""
    with suppress(UnicodeEncodeError):  # of a name that is none of this disk's
        name = os.fsencode(name).decode("utf-8", "surrogateescape")
    return unicodedata.normalize("NFC", name)


def stem_of(name: str) -> str | None:
    """The name of a NIfTI file without its ending; None for another one. Endings count in any letter case."""
    end = next((end for end in NIFTI if name.lower().endswith(end)), None)
    return name[: -len(end)] if end and len(name) > len(end) else None


def nifti_stem(path: Path) -> str | None:
    """A NIfTI file's name without its ending; None for other files and for hidden ones, such as macOS's ``._`` shadows."""
    return None if hidden(path.name) else stem_of(text_of(path.name))


def nifti_files(folder: Path) -> dict[str, list[Path]]:
    """The NIfTI files of a folder by name without ending, sorted; several where endings differ. Empty without the folder."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (stem := nifti_stem(path)) is not None and is_file(path):
            found.setdefault(stem, []).append(path)
    return found


def folded(name: str) -> str:
    """The same text for names that some file systems take for one: letter case and composed letters do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def hidden(name: str) -> bool:
    """Whether a file or folder is none of the data's: hidden, or left by an operating system."""
    return name.startswith(".") or name in (RESOURCES, "Thumbs.db", "desktop.ini")


def is_shadow(name: str) -> bool:
    """Whether a hidden name is worth a word: it is called like data."""
    return hidden(name) and looks_like_data(name.lstrip("._"))


def looks_like_data(name: str) -> bool:
    """Whether a file may hold a volume, or be packed, by its name."""
    low = name.lower()
    return not ABOUT.search(low) and (bool(VOLUMES.search(low)) or low.endswith(PACKED))


def holds_data(path: Path) -> bool:
    """Whether a file without an ending begins as a volume does."""
    if "." in path.name:
        return False
    try:
        with path.open("rb") as f:
            head = f.read(HEAD)
    except OSError:
        return False
    return head[:2] == b"\x1f\x8b" or head[128:132] == b"DICM" or head[344:347] in (b"n+1", b"ni1") or head[4:7] == b"n+2"


def is_file(path: Path) -> bool:
    """Whether a file is there; false, too, where no file can have that name."""
    return os.path.isfile(path)


def what_is_there(path: Path) -> str:
    """What stands at a path that is no file, as a problem has it."""
    if os.path.isdir(path):
        return "a folder"
    if os.path.islink(path):
        return f"a link to nothing ({os.readlink(path)})"
    return "no such file" if not os.path.lexists(path) else "neither file nor folder"


def name_problem(name: str) -> tuple[str, str] | None:
    """What a volume's or subject's name should be and is, if it cannot be used."""
    if any("\udc80" <= c <= "\udcff" for c in name):
        return "a name in UTF-8", "bytes that are not"
    if not name.isprintable() or name != name.strip() or not name:
        return "a name of letters, digits, signs and spaces between them", repr(name)
    if len(name.encode()) > LONGEST:
        return f"a name of at most {LONGEST} bytes", f"{len(name.encode())}"
    return None


def left_out(root: Path, patterns: Iterable[str]) -> Callable[[Path], bool]:
    """Whether a path is left out by one of a card's patterns, as a function.

    A pattern is that of a name, or of a path below ``root``; ``*`` stands for anything, slashes too. What matches a folder leaves
    out all below it.
    """
    wanted = [unicodedata.normalize("NFC", p.removeprefix("./").rstrip("/")) for p in patterns]

    def matches(path: Path) -> bool:
        if not wanted:
            return False
        try:
            below = path.relative_to(root)
        except ValueError:
            below = Path(path.name)
        texts = [text_of(t) for t in (below.name, *(p.as_posix() for p in (below, *below.parents[:-1])))]
        return any(fnmatchcase(text, pattern) for text in texts for pattern in wanted)

    return matches
