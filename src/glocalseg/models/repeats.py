"""Which exported networks are repeats of one another: they differ in what a repeat has of its own, and may be averaged."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from glocalseg.config.lines import shown
from glocalseg.models.about import About, ModelError

OF_A_REPEAT = ("key", "seed", "start")  # of a specification: what a repeat has of its own
LABEL = re.compile(r"^(?P<method>.*?)(?: n(?P<budget>all|\d+))?(?: (r\d+|c\d+-p\d+-f\d+))?$", re.DOTALL)


def require_repeats(folders: Sequence[Path], abouts: Sequence[About]) -> None:
    """Raise ModelError unless all are repeats of the first, each once: of one data set, method, budget and code."""
    seen: dict[tuple[str, str], Path] = {}
    for path, about in zip(folders, abouts, strict=True):
        for what, expected, found in _differences(abouts[0], about):
            raise ModelError(
                f"{path}: expected a repeat of {folders[0]}, which differs in what a repeat has of its own, to be averaged with "
                f"it, found {what} {shown(found)} in place of {shown(expected)}"
            )
        if (first := seen.setdefault((about.label, about.weights), path)) != path:
            raise ModelError(f"{path}: expected every repeat once, to be averaged, found {first} again")


def _differences(one: About, other: About) -> Iterator[tuple[str, Any, Any]]:
    """What two descriptions say otherwise that repeats have in common: what it is, and both values."""
    whole = all(_is_whole(about) for about in (one, other))
    first, second = (dict(_flat(_common(about, whole=whole))) for about in (one, other))
    for what in dict.fromkeys([*first, *second]):
        if first.get(what) != second.get(what):
            yield what, first.get(what), second.get(what)


def _common(about: About, *, whole: bool) -> dict[str, Any]:
    """What every repeat of a network has in common with it.

    Args:
        whole: whether all pretrainings are known, so that nothing depends on what a person calls the method.
    """
    said = LABEL.match(about.label)
    label = said.groupdict() if said else {}
    pretraining = _pretraining(about)
    return {
        "data set": about.data.name,
        "method": None if whole else label.get("method"),
        "budget": label.get("budget"),
        "preparation": about.preparation.model_dump(mode="json"),
        "image": about.image.model_dump(mode="json"),
        "network": about.network.model_dump(mode="json"),
        "threads": about.threads,
        "fine-tuning": _shared(about.provenance.get("run")),
        "pretraining": {str(i): _shared(of) for i, of in enumerate(pretraining)} if whole else None,
    }


def _shared(of: Any) -> Any:
    """A step's specification without what a repeat has of its own: its seed, its draw, and who is therefore in which list."""
    spec = _spec(of)
    kept: dict[str, Any] = {"pretrained": spec.get("start") is not None}
    kept |= {name: value for name, value in spec.items() if name not in (*OF_A_REPEAT, "code")}
    if isinstance(split := spec.get("split"), Mapping):
        own = ("draw", "train", "validation") if split.get("kind") == "lists" else ("draw",)
        kept["split"] = {name: value for name, value in split.items() if name not in own}
    return {**kept, "code": spec.get("code")}  # last: it differs wherever a regime does, and tells less


def _is_whole(about: About) -> bool:
    """Whether the description holds every pretraining that its network comes from."""
    steps = [_spec(about.provenance.get("run")), *(_spec(of) for of in _pretraining(about))]
    return steps[-1].get("start") is None


def _pretraining(about: About) -> list[Any]:
    found = about.provenance.get("pretraining")
    return found if isinstance(found, list) else []


def _spec(of: Any) -> Mapping[str, Any]:
    spec = of.get("spec") if isinstance(of, Mapping) else None
    return spec if isinstance(spec, Mapping) else {}


def _flat(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Single values by where they stand."""
    if isinstance(value, Mapping) and value:
        for name, below in value.items():
            yield from _flat(below, f"{where} {name}".strip())
    else:
        yield where, value
