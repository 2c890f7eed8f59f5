"""Whether validation still rises: by the stated rule, in the right direction, and silent where nothing can be said."""

from __future__ import annotations

import numpy as np
import pytest

from glocalseg.evaluation.statistics.rising import LEAST, rise_of

STEPS = (100, 200, 300, 400)


def curves(last: float, *, repeats: int = 10, spread: float = 0.002) -> np.ndarray:
    """Curves that gain ``last`` on average between step 300 and 400."""
    rng = np.random.default_rng(0)
    level = rng.normal(0.7, 0.05, (repeats, 1))
    gains = last + rng.normal(0, spread, repeats)
    made = level + np.array([[0.0, 0.1, 0.15, 0.15]])
    made[:, 3] += gains
    return made


@pytest.mark.parametrize(("last", "rising"), [(0.03, True), (LEAST + 0.004, True), (0.0, False), (-0.03, False)])
def test_a_cell_rises_where_its_mean_rise_is_large_and_certain(last: float, rising: bool):
    rise = rise_of(curves(last), STEPS, confidence=0.95)
    assert rise is not None
    assert rise.rising is rising
    assert rise.mean.low < rise.mean.estimate < rise.mean.high
    assert (rise.since, rise.repeats) == (300, 10)


def test_a_certain_rise_that_is_too_small_and_a_large_one_that_is_not_certain_do_not_count():
    tiny = rise_of(curves(0.003, spread=0.0001), STEPS, confidence=0.95)
    wild = rise_of(np.array([[0.5, 0.8], [0.5, 0.3], [0.5, 0.6], [0.5, 0.6]]), (1, 4), confidence=0.95)
    assert tiny is not None
    assert tiny.mean.low > 0
    assert not tiny.rising
    assert wild is not None
    assert wild.mean.estimate > LEAST
    assert not wild.rising


def test_the_interval_is_students_over_repeats():
    made = np.zeros((3, 2))
    made[:, 1] = [0.1, 0.2, 0.3]
    rise = rise_of(made, (1, 4), confidence=0.95)
    assert rise is not None
    assert rise.mean.estimate == pytest.approx(0.2)
    assert rise.mean.high - 0.2 == pytest.approx(4.302653 * 0.1 / 3**0.5, rel=1e-6)


def test_nothing_is_said_of_few_repeats_or_of_one_observation():
    assert rise_of(curves(0.1, repeats=2), STEPS, confidence=0.95) is None
    assert rise_of(curves(0.1)[:, 3:], (400,), confidence=0.95) is None
    broken = curves(0.1, repeats=4)
    broken[:2, 3] = np.nan
    assert rise_of(broken, STEPS, confidence=0.95) is None


def test_steps_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="rising numbers"):
        rise_of(curves(0.1), (1, 2), confidence=0.95)
    with pytest.raises(ValueError, match="rising numbers"):
        rise_of(curves(0.1), (1, 3, 2, 4), confidence=0.95)
