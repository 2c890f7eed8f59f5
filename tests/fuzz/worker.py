"""The process that runs fuzz cases of one target: numbers come in on standard input, a line each; answers go out as JSON.

Arguments: target, seed, folder for inputs. What the library prints goes to ``<folder>/<target>.log``.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import resource
import shutil
import sys
import time
import traceback
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from fuzz import case_folder

MEMORY = 512  # megabytes by which a case may grow
ROOM = 1 << 30  # bytes of addresses that a case may ask for, used or not
WIDEST = 700  # characters of a line that is read: one of `make card` says what each reader expects
LINES = 60
OWN = ("glocalseg.", "glocalrun.")


class WrongError(AssertionError):
    """A result that is not right."""


def main() -> None:
    target, seed, out = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    log = os.open(out / f"{target}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    warnings.simplefilter(
        "error", RuntimeWarning
    )  # of numpy: a number went wrong on its way, or a line that nobody understands
    module = importlib.import_module(f"targets.{target}")
    shared = out / f".{target}-{os.getpid()}"
    shared.mkdir(parents=True)
    try:
        base = module.prepare(shared)
        limit = _status("VmSize") * 1024 + ROOM
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        _say(answers, what="ready")
        for line in sys.stdin:
            _case(answers, module, base, case_folder(out, target, seed, int(line)), (seed, int(line)), target)
    finally:
        shutil.rmtree(shared, ignore_errors=True)


def _case(answers: Any, module: Any, base: Any, folder: Path, drawn: tuple[int, int], target: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = np.random.default_rng([drawn[0], zlib.crc32(target.encode()), drawn[1]])
    try:
        kind, check = module.make(rng, base, folder)
    except Exception:
        _say(answers, kind="", what="", failure=f"the case could not be made: {traceback.format_exc()}")
        return
    _say(answers, kind=kind)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins here
    before, began = _status("VmRSS"), time.monotonic()
    what, failure = "", ""
    try:
        what = check()
    except Exception as error:
        what, failure = _refused(error, folder)
    seconds, megabytes = time.monotonic() - began, (_status("VmHWM") - before) / 1024
    if not failure and megabytes > MEMORY:
        failure = f"{megabytes:.0f} MB of memory ({what})"
    _say(answers, what=what, failure=failure, seconds=round(seconds, 3), megabytes=round(megabytes, 1))


def _refused(error: Exception, folder: Path) -> tuple[str, str]:
    """``refused`` for an error of this project that a person can read; otherwise what is wrong with it."""
    if isinstance(error, WrongError):
        return "", f"a wrong result: {error}"
    if not type(error).__module__.startswith(OWN):
        return "", "".join(traceback.format_exception(error))[-3000:]
    text = str(error)
    lines = text.replace(f"{folder}/", "").replace(str(folder), "").split("\n")
    said = f"{type(error).__name__}: {text[:2000]!r}"
    if not text.strip() or len(lines) > LINES:
        return "", f"{len(lines)} lines: {said}"
    if wide := [line for line in lines if len(line) > WIDEST]:
        return "", f"a line of {len(wide[0])} characters: {said}"
    if odd := [line for line in lines if not line.isprintable()]:
        return "", f"a line that cannot be printed, {odd[0][:200]!r}: {said}"
    if str(folder) not in text and not re.search(r"[\w.]+: ", text):
        return "", f"a line that names no file and no key: {said}"
    return "refused", ""


def _status(name: str) -> int:
    """Kilobytes that the system's books have of this process."""
    return int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))[1])  # type: ignore[index]


def _say(answers: Any, **what: Any) -> None:
    answers.write(json.dumps(what) + "\n")
    answers.flush()


if __name__ == "__main__":
    sys.modules["worker"] = sys.modules["__main__"]  # targets raise its WrongError
    main()
