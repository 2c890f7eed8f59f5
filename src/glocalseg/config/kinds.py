"""Classes that are found by their file: every module of a package but ``base`` is a kind, and adding a file adds one.

Nothing is listed anywhere else, and only the file of the kind that a card names is imported.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from glocalseg.config.model import Model


class Kind(Model):
    """One of several; ``kind`` is the name of its file, and its other fields are its options."""

    kind: str = Field(default="", description="the name of its file")

    @model_validator(mode="before")
    @classmethod
    def _by_its_file(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        own = cls.__module__.rpartition(".")[2]
        if raw.get("kind", own) != own:
            raise ValueError(f"expected kind {own!r}, as the file is called, found {raw['kind']!r}")
        return {**raw, "kind": own}


def kinds(package: str) -> list[str]:
    """Names of the kinds in a package, sorted; none is imported."""
    names = (module.name for module in pkgutil.iter_modules(import_module(package).__path__))
    return sorted(name for name in names if name != "base" and not name.startswith("_"))


def load_kind(package: str, name: str, base: type[Kind]) -> type[Kind]:
    """The class of a kind: the one that its file derives from ``base``. Raises TypeError if it has none or several."""
    module = import_module(f"{package}.{name}")
    own = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]
    found = [v for v in own if issubclass(v, base)]
    if len(found) != 1:
        raise TypeError(f"{module.__file__}: expected one class that derives from {base.__name__}, found {len(found)}")
    return found[0]


@dataclass(frozen=True)
class FoundByFile:
    """Makes ``Annotated[Base, FoundByFile()]`` of a configuration the kind that it names: ``msd`` or ``{kind: msd, ...}``.

    The kinds are the modules beside the base's own.
    """

    def __get_pydantic_core_schema__(self, base: type[Kind], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validation by the class of the kind; written down, a value has all fields of that class."""
        package = base.__module__.rpartition(".")[0]

        def validate(raw: Any) -> Kind:
            if isinstance(raw, base):
                return raw
            written = {"kind": raw} if isinstance(raw, str) else raw
            if not isinstance(written, Mapping) or "kind" not in written:
                raise PydanticCustomError("kind", "expected a kind, or kind and options")
            there, name = kinds(package), written["kind"]
            if name not in there:
                problem = PydanticCustomError("kind", "expected one of {there}", {"there": ", ".join(there)})
                where = () if isinstance(raw, str) else ("kind",)
                raise ValidationError.from_exception_data(base.__name__, [{"type": problem, "loc": where, "input": name}])
            return load_kind(package, name, base).model_validate(written)

        return core_schema.no_info_plain_validator_function(validate, metadata={"base": base, "package": package})

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """For editors: a kind's name, or the fields of one of the kinds."""
        base, package = schema["metadata"]["base"], schema["metadata"]["package"]
        there = kinds(package)
        options = [
            {
                "allOf": [handler(load_kind(package, name, base).__pydantic_core_schema__)],
                "properties": {"kind": {"const": name}},
                "required": ["kind"],
            }
            for name in there
        ]
        return {"anyOf": [{"enum": there}, *options]}
