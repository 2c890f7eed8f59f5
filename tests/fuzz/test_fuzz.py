"""A short fuzz of every target (``make fuzz`` is the long one), and proof that the harness notices what it looks for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import fuzz
from fuzz import TARGETS, Tally, run_cases, told

SEED, COUNT = 1, 8  # not the seed that `make fuzz` begins with


@pytest.mark.parametrize("target", TARGETS)
def test_corrupted_inputs_end_in_a_clear_line_or_a_right_result(target: str, tmp_path: Path) -> None:
    tally = run_cases(target, list(range(COUNT)), seed=SEED, out=tmp_path)
    assert len(tally.outcomes) == COUNT
    assert not tally.failures, "\n".join(told(outcome, SEED, tmp_path) for outcome in tally.failures)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tally, Path]:
    """One case of every fault, each between two sound ones."""
    out = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fuzz, "SECONDS", 8.0)
        return run_cases("faults", list(range(2 * len(SAID) + 1)), seed=0, out=out), out


SAID = (  # what is said of each fault of targets/faults.py
    r"KeyError: 'lost'",
    r"a wrong result: 2 and 2 are 5",
    r"nothing after 8 s: it hangs",
    r"its process ended \(exit status 7\)",
    r"[67]\d\d MB of memory",
    r"MemoryError",
    r"a line that names no file and no key",
    r"a line that cannot be printed",
    r"a line of \d+ characters",
    r"\d+ lines",
    r"RuntimeWarning: divide by zero",
)


@pytest.mark.parametrize(("number", "said"), list(enumerate(SAID)))
def test_every_fault_is_noticed(faulty: tuple[Tally, Path], number: int, said: str) -> None:
    tally, out = faulty
    (outcome,) = [o for o in tally.outcomes if o.number == 2 * number + 1]
    assert re.search(said, outcome.failure)
    assert (out / f"faults-0-{outcome.number}" / "input.txt").is_file()
    assert f"again: make fuzz TARGET=faults SEED=0 NUMBER={outcome.number}" in told(outcome, 0, out)


def test_what_is_sound_passes_whatever_came_before(faulty: tuple[Tally, Path]) -> None:
    tally, out = faulty
    sound = [o for o in tally.outcomes if o.number % 2 == 0]
    assert [(o.what, o.failure) for o in sound] == [("refused" if o.number % 4 else "right", "") for o in sound]
    assert not [o for o in sound if (out / f"faults-0-{o.number}").exists()]
