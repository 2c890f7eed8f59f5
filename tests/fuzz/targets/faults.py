"""What a library must not do, a case each: for the test that the harness notices. Even cases are sound."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from corruptions import Rng
from worker import WrongError

from glocalseg.config.model import ConfigError


def prepare(folder: Path) -> None:
    """Nothing is needed."""


def make(rng: Rng, base: None, folder: Path) -> tuple[str, Callable[[], str]]:
    number = int(folder.name.rsplit("-", 1)[-1])
    path = folder / "input.txt"
    path.write_text("input", encoding="utf-8")
    if number % 2:
        fault = FAULTS[number // 2]
        return fault.__name__[1:], lambda: fault(path)
    return "sound", lambda: _refused(path) if number % 4 else "right"


def _refused(path: Path) -> str:
    raise ConfigError(f"{path}: expected output, found input")


def _foreign(path: Path) -> str:
    raise KeyError("lost")


def _wrong(path: Path) -> str:
    raise WrongError("2 and 2 are 5")


def _hangs(path: Path) -> str:
    time.sleep(3600)
    return "late"


def _dies(path: Path) -> str:
    os._exit(7)


def _eats(path: Path) -> str:
    return f"{np.ones(600 << 17).sum():g} as sum"


def _asks(path: Path) -> str:
    return f"{np.empty(1 << 40).size} numbers"


def _says_nothing(path: Path) -> str:
    raise ConfigError("something went wrong")


def _unprintable(path: Path) -> str:
    raise ConfigError(f"{path}: expected letters, found \x1b[31m")


def _wide(path: Path) -> str:
    raise ConfigError(f"{path}: expected a word, found {'x' * 5000}")


def _long(path: Path) -> str:
    raise ConfigError("\n".join(f"{path}: line {i}" for i in range(100)))


def _warns(path: Path) -> str:
    return f"{np.ones(1) / np.zeros(1)}"


FAULTS = (_foreign, _wrong, _hangs, _dies, _eats, _asks, _says_nothing, _unprintable, _wide, _long, _warns)
