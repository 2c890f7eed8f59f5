"""What every configuration has in common: frozen, typed models, one-line errors, and what of a model is in a key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import ErrorDetails

from glocalseg.config.lines import one_line, shortened, shown

MOST_LINES = 30  # of one error
MOST_NODES = 1_000_000  # values of one file
M = TypeVar("M", bound="Model")
Quirk = Literal["paper", "release"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


def _share(text: str) -> str:
    if not 0 < float(text.removesuffix("%")) <= 100:
        raise ValueError
    return text


def _said(expected: str) -> WrapValidator:
    """One line for whatever is wrong with a value, instead of one for each of the types that it could have been."""

    def check(value: Any, inner: ValidatorFunctionWrapHandler) -> Any:
        try:
            if isinstance(value, bool):
                raise ValueError
            return inner(value)
        except ValueError:
            raise ValueError(f"expected {expected}") from None

    return WrapValidator(check)


_PERCENT = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?%$"), AfterValidator(_share)]
Percent = Annotated[_PERCENT, _said("a percentage such as 10%, more than 0% and at most 100%")]
Amount = Annotated[
    Annotated[int, Field(ge=1)] | _PERCENT,
    _said("a whole number from 1, or a percentage such as 10%, more than 0% and at most 100%"),
]


class ConfigError(ValueError):
    """A configuration that cannot run: names the file and the key, what was expected and what was found."""


def share_of(percent: str) -> float:
    """A percentage as a share, in (0, 1]."""
    return float(percent.removesuffix("%")) / 100


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Machinery:
    """Marks a field that decides how something is computed and no number of what comes out."""


class _Later:
    """Marks a field that came when there were results already: at its default it is in no key, so their keys stay."""


MACHINERY, LATER = _Machinery(), _Later()


def keyed(value: Any) -> Any:
    """A model as JSON-able values for a key.

    Left out are fields marked MACHINERY, fields marked LATER that have their default, and what ``without`` took away.
    """
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        kept = [n for n, f in fields.items() if MACHINERY not in f.metadata and n in value.__dict__]
        kept = [n for n in kept if LATER not in fields[n].metadata or value.__dict__[n] != fields[n].default]
        return {name: keyed(value.__dict__[name]) for name in kept}
    if isinstance(value, Mapping):
        return {str(k): keyed(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [keyed(v) for v in value]
    return value


def without(model: M, fields: Iterable[str]) -> M:
    """A copy that lacks fields, named by dotted paths: reading one is an AttributeError, and no key holds it.

    What a job is not to depend on is so taken out of its reach.
    """
    copy = model.model_copy()
    for path in fields:
        first, _, rest = path.partition(".")
        if rest:
            copy.__dict__[first] = without(copy.__dict__[first], [rest])
        else:
            del copy.__dict__[first]
    return copy


class _KeysOnce(yaml.SafeLoader):
    """Refuses a key that a section has twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if twice := [key for key in dict.fromkeys(keys) if keys.count(key) > 1]:
            raise yaml.YAMLError(f"the key {twice[0]!r} twice in the section that begins on line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def _load(text: str) -> Any:
    loader = _KeysOnce(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > MOST_NODES:
            raise yaml.YAMLError(f"more than {MOST_NODES} values, by anchors of anchors")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """How many values a section holds when every alias is written out. Raises YAMLError for one that holds itself."""
    if node not in known:
        known[node] = 0
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        known[node] = 1 + sum(_size(n, known) for part in parts for n in (part if isinstance(part, tuple) else (part,)))
    if not known[node]:
        raise yaml.YAMLError(f"a section that holds itself, on line {node.start_mark.line + 1}")
    return known[node]


def read_yaml(path: Path) -> dict[str, Any]:
    """Keys and values of a YAML or JSON file. Raises ConfigError."""
    try:
        raw = _load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: expected a configuration file, found nothing there") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected text in UTF-8, found {error.reason} at byte {error.start}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date of 2026-02-30 is a ValueError
        raise ConfigError(f"{path}: expected YAML, found: {one_line(shortened(' '.join(str(error).split())))}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected keys and values, found {type(raw).__name__}")
    return raw


_EXPECTED = {
    "missing": "expected a value for this key",
    "extra_forbidden": "expected no such key",
    "invalid_key": "expected text as a key",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "string_type": "expected text",
    "string_pattern_mismatch": "expected text of the form {pattern}",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "dict_type": "expected keys and values",
    "model_type": "expected keys and values",
    "literal_error": "expected {expected}",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected at most {le}",
    "too_short": "expected at least {min_length} of them",
    "too_long": "expected at most {max_length} of them",
}
_FOUND = {"missing": "none", "extra_forbidden": "an unknown key"}


def _expected(problem: ErrorDetails) -> str:
    """What was expected where pydantic found a problem; its own words where none are kept for it here."""
    if words := _EXPECTED.get(problem["type"]):
        limits = {k: f"{v:g}" if isinstance(v, float) else v for k, v in problem.get("ctx", {}).items()}
        return words.format(**limits)
    return problem["msg"].removeprefix("Value error, ").replace("Input should be", "expected", 1)


def parse(model: type[M], raw: Mapping[str, Any], where: str) -> M:
    """The validated model of a mapping; ``where`` begins every line of an error.

    Raises:
        ConfigError: one line per problem, each with file, key, what was expected and what was found.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = []
        for e in error.errors()[:MOST_LINES]:
            key = ".".join(str(p) for p in e["loc"]) or "(whole file)"
            known = ", ".join(field.alias or name for name, field in model.model_fields.items())
            of_file = e["type"] == "extra_forbidden" and len(e["loc"]) == 1 and known
            expected = f"expected one of {known}" if of_file else _expected(e)
            found = _FOUND.get(e["type"]) or shown(e["input"])
            lines.append(one_line(f"{where}: {shortened(f'{key}: {expected}')}, found {found}"))
        if more := error.error_count() - len(lines):
            lines.append(f"{where}: and {more} more")
        raise ConfigError("\n".join(lines)) from None
