"""Every field of a configuration is varied unasked, and what cannot be varied stays."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from glocalseg.config.model import MACHINERY, Model
from glocalseg.config.settings import AugmentConfig, FinetuneConfig, LocalConfig
from glocalseg.golden.variations import ALL, variations


class Inner(Model):
    share: float = Field(default=0.5, gt=0, lt=1)
    on: bool = False


class Outer(Model):
    kind: Literal["a", "b", "c"] = "a"
    either: Literal[1, 2] | None = None
    steps: int = Field(default=4, ge=4, le=5)
    fixed: int = Field(default=4, ge=4, le=4)
    every: Annotated[int, MACHINERY] = 3
    span: tuple[float, float] = (0.0, 1.0)
    sizes: list[int] = Field(default=[1, 2])
    inner: Inner = Inner()


def names(model: Model, **leave: tuple[str, ...]) -> list[str]:
    return [name for name, _ in variations(model, **leave)]


def test_one_field_at_a_time_and_every_value_of_a_choice() -> None:
    found = names(Outer())
    assert found[:-1] == [
        "kind=b", "kind=c", "either=1", "either=2", "steps=5", "span=(0.0,0.75)", "sizes=[1]",
        "inner.share=0.25",
        "inner.on=True",
    ]  # fmt: skip
    assert found[-1].startswith(ALL)
    for name, changed in list(variations(Outer()))[:-1]:
        path = name.split("=")[0]
        assert Outer.model_validate(changed.model_dump()) == changed
        assert changed.model_dump(exclude={path.split(".")[0]}) == Outer().model_dump(exclude={path.split(".")[0]})


def test_all_fields_at_once() -> None:
    together = list(variations(Outer()))[-1][1]
    assert together == Outer(kind="b", either=1, steps=5, span=(0, 0.75), sizes=[1], inner=Inner(share=0.25, on=True))


def test_the_name_of_all_at_once_stands_for_what_is_in_it() -> None:
    assert names(Outer())[-1] != names(Outer(), leave=("steps",))[-1]
    assert names(Outer()) == names(Outer())


def test_what_is_left_stays() -> None:
    assert not [n for n in names(Outer(), leave=("inner", "kind")) if n.startswith(("inner", "kind"))]
    assert names(Inner(), leave=("share", "on")) == []


def test_every_setting_of_a_training_is_varied() -> None:
    for model in (FinetuneConfig(steps=3), LocalConfig(steps=3, images=8)):
        found = {name.split("=")[0] for name in names(model)}
        assert set(type(model).model_fields) - {name.split(".")[0] for name in found} == {"checkpoint_every"}
    assert {f"augment.{f}" for f in AugmentConfig.model_fields} <= {n.split("=")[0] for n in names(FinetuneConfig(steps=3))}
