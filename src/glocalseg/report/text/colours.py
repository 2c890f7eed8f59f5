"""One colour and one mark for each method and each repeat, the same in every figure and table, on light and on dark pages.

Every colour of a mark has a contrast of at least 3:1 with the paper that it is drawn on (WCAG 2.2, 1.4.11), and those of the
methods that the project names stay apart for readers without red or without green receptors. Nothing is told by colour alone:
marks differ in shape, too. tests/report/test_colours.py measures all of this.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from glocalseg.report.text.names import UPPER_BOUND

LIGHT_PAPER, DARK_PAPER = "#ffffff", "#151b22"
LEAST = 3.0  # contrast of a mark with its paper
_METHODS = {  # colour and mark
    "random": ("#4a4a4a", "o"),
    "gr": ("#3d9bd1", "s"),
    "gd_minus": ("#007a4d", "^"),
    "gd": ("#1f4fa8", "D"),
    "pcl": ("#a83a86", "v"),
    "gd+lr": ("#c98200", "P"),
    "gd+ld": ("#b8400e", "*"),
    UPPER_BOUND: ("#949494", "X"),
}
# On a dark page: the hues of the methods above, as light or as dark as keeps them apart there for all readers. Lightened only
# until they stand out, all would be as light as each other, and grey be green to readers without green receptors.
_ON_DARK = {
    "#4a4a4a": "#ebebeb", "#3d9bd1": "#43c6fe", "#007a4d": "#81d498", "#1f4fa8": "#6589fd", "#a83a86": "#b43ba0",
    "#c98200": "#ce9110", "#b8400e": "#b7522f", "#949494": "#989898",
}  # fmt: skip
_SPARE = (
    "#7a5c00", "#5b3fb5", "#00838f", "#8c2a2a", "#4f7a1f", "#c2417a", "#3f5f7f", "#a0522d", "#2e7d6b", "#6d4c9f", "#996515",
)  # fmt: skip
_SPARE_MARKS = ("<", ">", "d", "p", "s", "v")  # as many as share no factor with the colours, so that pairs repeat late
_REPEATS = (
    ("#1f4fa8", "o"), ("#c98200", "s"), ("#007a4d", "^"), ("#b8400e", "D"), ("#a83a86", "v"), ("#3d9bd1", "P"),
    ("#4a4a4a", "X"), ("#5b3fb5", "*"), ("#4f7a1f", "<"), ("#8c2a2a", ">"), ("#00838f", "h"), ("#996515", "p"),
)  # fmt: skip
# Told apart from each other on grey images, on which they are drawn.
_STRUCTURES = ("#ff9f1c", "#2ec4f1", "#7cdb5e", "#f15bb5", "#fee440", "#9b8cff", "#00f5d4", "#ff6b6b")
PHASES = {"pretrain_global": "#1f4fa8", "pretrain_local": "#b8400e", "finetune": "#007a4d"}
PARTITIONS = ("#440154", "#31688e", "#1f8f5f", "#b08900", "#d0602f", "#a83279", "#4a858d", "#8c6d31")
UNPARTITIONED = "#949494"


def colours(methods: Sequence[str]) -> dict[str, str]:
    """A colour per method and for the upper bound; the project's own keep theirs whatever other methods there are."""
    return {m: colour for m, (colour, _) in _styles(methods).items()}


def markers(methods: Sequence[str]) -> dict[str, str]:
    """A mark of matplotlib's per method and for the upper bound, as ``colours``."""
    return {m: mark for m, (_, mark) in _styles(methods).items()}


def _styles(methods: Sequence[str]) -> dict[str, tuple[str, str]]:
    others = [m for m in dict.fromkeys(methods) if m not in _METHODS]
    spare = {m: (_SPARE[i % len(_SPARE)], _SPARE_MARKS[i % len(_SPARE_MARKS)]) for i, m in enumerate(others)}
    return {m: _METHODS.get(m) or spare[m] for m in [*methods, UPPER_BOUND]}


def repeat_styles(repeats: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and mark of every repeat; beyond twelve they come again."""
    return {r: _REPEATS[i % len(_REPEATS)] for i, r in enumerate(repeats)}


def structure_colour(number: int) -> str:
    """The colour of a structure by its class, from 1, on a grey image."""
    return _STRUCTURES[(number - 1) % len(_STRUCTURES)]


@cache
def dark_partners() -> dict[str, str]:
    """What stands for each colour of a mark on a dark page: a chosen one, itself, or as much lighter as it takes."""
    marks = [
        *(c for c, _ in _METHODS.values()), *_SPARE, *(c for c, _ in _REPEATS), *PHASES.values(), *PARTITIONS, UNPARTITIONED,
    ]  # fmt: skip
    return {c: _ON_DARK.get(c) or _lightened(c) for c in dict.fromkeys(marks)}


def _lightened(colour: str) -> str:
    for white in range(0, 100, 2):
        found = mixed(colour, LIGHT_PAPER, white / 100)
        if contrast(found, DARK_PAPER) >= LEAST + 1.2:
            return found
    return LIGHT_PAPER


def mixed(colour: str, other: str, share: float) -> str:
    """A colour with a share of another one in it, in sRGB."""
    pairs = zip(_bytes(colour), _bytes(other), strict=True)
    return "#" + "".join(f"{round((1 - share) * a + share * b):02x}" for a, b in pairs)


def contrast(colour: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21, as WCAG 2.2 defines it."""
    low, high = sorted((_luminance(colour), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (b / 255 for b in _bytes(colour))]
    return sum(weight * v for weight, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _bytes(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
