"""How methods, strategies and budgets are called, the same in every table, figure and sentence.

A display name is a *rich* string: plain text in which ``^{...}`` is a superscript. ``plain``, ``html``, ``markdown``,
``latex`` and ``mathtext`` turn it into one format, everything else in it escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import cast

from markupsafe import Markup, escape

from glocalseg.methods.catalogue import regimes, strategies, untrained
from glocalseg.plan.phases import PHASES, PhaseName

UPPER_BOUND = "upper_bound"
BASELINE = "random"
ALL = "all"
_OURS = {BASELINE: "Random init", UPPER_BOUND: "Upper bound"}  # what no file of a method names
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "–": "--", "×": r"$\times$", "²": "$^2$",
    "→": r"$\rightarrow$",
    "▲": r"$^{\ast}$", "▼": r"$^{\dagger}$", "·": r"$\cdot$", "≤": r"$\leq$", "<": "$<$", ">": "$>$", "…": r"\dots{}",
    "‡": r"$^{\ddagger}$", "±": r"$\pm$", "\u00a0": "~", "“": "``", "”": "''",
}  # fmt: skip
_SUPERSCRIPT = re.compile(r"\^\{([^{}]*)\}")


def display(name: str) -> str:
    """The rich display name of a method or pretraining: ``gd+lr`` gives ``G^{D} + L^{R}``; a name that a person gave stays."""
    known = _symbols()
    parts = name.split("+")
    return " + ".join(known[part] for part in parts) if all(part in known for part in parts) else name


def _symbols() -> dict[str, str]:
    """What the files of strategies, regimes and untrained controls call themselves, and the names of what has no file."""
    entries = [*regimes().items(), *untrained().items(), *strategies().items()]
    return {name: entry.symbol for name, entry in entries} | _OURS


def shortened(rich: str, length: int) -> str:
    """A name of at most ``length`` letters, what is too much of it left out of the middle: both ends tell volumes apart.

    Superscripts stay whole.
    """
    pieces = [p for i, piece in enumerate(_SUPERSCRIPT.split(rich)) for p in ([f"^{{{piece}}}"] if i % 2 else piece)]
    if sum(map(_letters, pieces)) <= length:
        return rich
    end = _within(pieces[::-1], (length - 1) // 2)[::-1]
    return f"{''.join(_within(pieces, length - 1 - sum(map(_letters, end))))}…{''.join(end)}"


def _letters(piece: str) -> int:
    return len(_SUPERSCRIPT.sub(r"\1", piece))


def _within(pieces: Sequence[str], length: int) -> list[str]:
    """The first pieces, as many as have so many letters together."""
    ends = accumulate(map(_letters, pieces))
    return [piece for piece, end in zip(pieces, ends, strict=True) if end <= length]


def fitted(method: str, length: int) -> str:
    """The rich display name of a method in at most ``length`` letters.

    Where one of the regimes on random weights has a longer name, all of them are called by the regime: ``+ Mixup``.
    """
    name = display(method)
    if max(_letters(display(f"{BASELINE}+{regime}")) for regime in regimes()) > length:
        name = re.sub(rf"^{_OURS[BASELINE]} (?=\+)", "", name)
    return shortened(name, length)


def phase_title(phase: str) -> str:
    """What a phase of the plan is called: ``Global pretraining``."""
    return PHASES[cast(PhaseName, phase)].title


def price(budget: str, selection: str, validation: Sequence[int]) -> str:
    """What labels a number cost, in words, wherever a number of labelled volumes is shown.

    ``1 + 6 for selection``: one volume to train on, six whose labels chose the weights; ``1 (selects itself)``: the labelled
    volumes chose them; ``1 (last weights)``: nobody did; ``1``: there are no weights to choose.

    Args:
        budget: volumes to train on, or ``all``.
        selection: as in ``FinetuneConfig``, empty without weights.
        validation: how many volumes chose the weights; several numbers where repeats differ.
    """
    if selection == "validation":
        counts = " to ".join(dict.fromkeys(str(n) for n in (min(validation, default=0), max(validation, default=0))))
        return f"{budget} + {counts} for selection"
    return budget + {"labelled": " (selects itself)", "none": " (last weights)"}.get(selection, "")


def budget_order(budget: str) -> tuple[int, int]:
    """Sort key of a budget: numbers first, ``all`` last."""
    return (1, 0) if budget == ALL else (0, int(budget))


def plain(rich: str) -> str:
    """Without markup: ``G^D + L^R``."""
    return _SUPERSCRIPT.sub(r"^\1", rich)


def html(rich: str) -> Markup:
    """Escaped HTML with ``<sup>``."""
    return Markup(_convert(rich, lambda t: str(escape(t)), "<sup>{}</sup>"))


def markdown(rich: str) -> str:
    """Markdown that survives inside a table."""
    return _convert(rich, _markdown_escape, "<sup>{}</sup>")


def latex(rich: str) -> str:
    """LaTeX with every special character escaped."""
    return _convert(rich, lambda t: "".join(_LATEX.get(c, c) for c in t), r"\textsuperscript{{{}}}")


def mathtext(rich: str) -> str:
    """For matplotlib."""
    return _convert(rich, lambda t: t.replace("$", r"\$"), r"$^{{\mathrm{{{}}}}}$")


def _markdown_escape(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text).replace("\n", " ")


def _convert(rich: str, keep: Callable[[str], str], superscript: str) -> str:
    pieces = _SUPERSCRIPT.split(rich)
    return "".join(superscript.format(keep(p)) if i % 2 else keep(p) for i, p in enumerate(pieces))
