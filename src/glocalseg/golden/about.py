"""What `make same-bits` asks of a code before anything runs: digests, and what of it a golden run does not see."""

from __future__ import annotations

from typing import Any

from glocalseg.plan.entries import code_of, digest_of, modules_of
from glocalseg.records.code import closure, module_path
from glocalseg.records.trees import numbers, tree_digest

UNSEEN = ("training.compiled", "training.device")  # what they do on a GPU, no run on a CPU shows


def about(entry: str) -> dict[str, Any]:
    """An entry's digest and generation, and what of its code a golden run does not see: UNSEEN modules, and its numbers.

    A number may be a limit that the golden run is too small to reach; 0, 1 and 2 are in every line that is written otherwise.
    """
    modules = sorted(closure(*modules_of(entry)))
    texts = {name: module_path(name).read_text(encoding="utf-8") for name in modules}
    return {
        "code": digest_of(entry),
        "generation": code_of(entry),
        "unseen": {name: tree_digest(text) for name, text in texts.items() if name.partition(".")[2] in UNSEEN},
        "numbers": sorted(number for text in texts.values() for number in numbers(text) if number not in ("0", "1", "2")),
    }
