"""A schedule in parts: of whatever parts it is made, each is a whole schedule of its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from glocalseg.methods.finetuning.parts import InParts
from glocalseg.training.loop import Schedule


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    lead=st.integers(0, 20),
    warmup=st.floats(0, 1),
    cosine=st.booleans(),
)
def test_every_part_is_a_schedule_of_its_own(lengths: list[int], lead: int, warmup: float, cosine: bool) -> None:
    begins = tuple(sum(lengths[:n]) for n in range(1, len(lengths)))
    found = InParts(0.3, sum(lengths), cosine=cosine, warmup=warmup, lead=lead, begins=begins)
    wanted = [0.3] * lead
    for length in lengths:
        wanted += [Schedule(0.3, length, cosine=cosine, warmup=warmup)(step) for step in range(length)]
    assert [found(step) for step in range(lead + sum(lengths))] == wanted


@given(steps=st.integers(1, 200), lead=st.integers(0, 20), warmup=st.floats(0, 1))
def test_one_part_is_the_schedule_to_the_bit(steps: int, lead: int, warmup: float) -> None:
    plain, whole = (of(0.003, steps, cosine=True, warmup=warmup, lead=lead) for of in (Schedule, InParts))
    assert [plain(step) for step in range(lead + steps)] == [whole(step) for step in range(lead + steps)]


def test_the_rate_comes_down_before_a_part_and_warms_up_after_it() -> None:
    rates = [InParts(1.0, 40, cosine=True, warmup=0.2, begins=(20,))(step) for step in range(40)]
    assert rates[:20] == rates[20:]
    assert rates[19] < 0.02
    assert rates[20] == 0.25


def test_parts_without_a_step_are_passed_over() -> None:
    rates = [InParts(1.0, 6, cosine=True, begins=(2, 2, 3))(step) for step in range(6)]
    assert rates == [InParts(1.0, 6, cosine=True, begins=(2, 3))(step) for step in range(6)]
