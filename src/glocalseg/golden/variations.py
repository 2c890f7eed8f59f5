"""Other values for the fields of a configuration, found from their types and bounds, so that new fields are varied unasked."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from glocalseg.config.model import MACHINERY, M, Model
from glocalseg.records.digest import digest

ALL = "all"


def variations(model: M, *, leave: Collection[str] = ()) -> Iterator[tuple[str, M]]:
    """Copies of a model with one field changed each, and one with the first change of all fields that go together.

    Args:
        model: nested models are varied by their fields.
        leave: dotted paths of fields, or sections, that stay as they are; fields marked MACHINERY always do.

    Yields:
        ``path=value`` and the copy: every other value of a choice, one other value of anything else that has one; for all fields
        together a name that begins with ALL and stands for which and how.
    """
    together, names = model, []
    for path, changes in _changes(model, leave):
        for i, value in enumerate(changes):
            name = f"{path}={_short(value)}"
            yield name, _put(model, path, value)
            if i == 0:
                names.append(name)
                together = _put(together, path, value)
    if names:
        yield f"{ALL}-{digest(names)[:8]}", together


def _changes(model: Model, leave: Collection[str], before: str = "") -> Iterator[tuple[str, list[Any]]]:
    for name, field in type(model).model_fields.items():
        path, value = f"{before}{name}", getattr(model, name)
        if path in leave or MACHINERY in field.metadata:
            continue
        if isinstance(value, Model):
            yield from _changes(value, leave, f"{path}.")
        elif valid := [v for v in _others(field.annotation, value) if _fits(model, name, v)]:
            yield path, valid if _choices(field.annotation) else valid[:1]


def _others(annotation: Any, value: Any) -> list[Any]:
    """Values that a field may have instead, likely ones first."""
    if choices := _choices(annotation):
        return [v for v in choices if v != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, 2 * value, value // 2, 1, 2]
    if isinstance(value, float):
        return [value / 2, 2 * value, 0.5, 0.1]
    if value is None:
        return [2, 1, 0.5]
    if isinstance(value, list):
        return [value[:-1]]
    if isinstance(value, tuple):
        return [tuple(v * 0.75 for v in value)]
    return []


def _choices(annotation: Any) -> list[Any]:
    """The values of a Literal, or of one inside a union."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for part in get_args(annotation) for choice in _choices(part)]


def _fits(model: Model, name: str, value: Any) -> bool:
    try:
        changed = type(model).model_validate({**dict(model), name: value})
    except ValidationError:
        return False
    return bool(getattr(changed, name) != getattr(model, name))


def _put(model: M, path: str, value: Any) -> M:
    first, _, rest = path.partition(".")
    return model.model_copy(update={first: _put(getattr(model, first), rest, value) if rest else value})


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value).replace(" ", "").replace("/", "_")
