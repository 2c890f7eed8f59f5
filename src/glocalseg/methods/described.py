"""What a setting is, in the words of the place where it is defined; imports no torch."""

from __future__ import annotations

from glocalseg.config.model import Model
from glocalseg.config.settings import Settings
from glocalseg.methods.catalogue import regimes, strategies


def description(path: str) -> str:
    """What is said of a setting, named by its dotted path: ``D6: release draws one scalar a batch``; empty where nothing is.

    Of an option of a strategy or regime it is what the docstring of its class says of it.
    """
    first, *rest = path.split(".")
    if first in ("strategies", "regimes") and len(rest) == 2:
        entry = (strategies() if first == "strategies" else regimes()).get(rest[0])
        return entry.said.get(rest[1], "") if entry else ""
    return _of_field(Settings, [first, *rest])


def _of_field(model: type[Model], path: list[str]) -> str:
    field = model.model_fields.get(path[0])
    if field is None:
        return ""
    inner = field.annotation
    if len(path) > 1:
        return _of_field(inner, path[1:]) if isinstance(inner, type) and issubclass(inner, Model) else ""
    return field.description or ""
