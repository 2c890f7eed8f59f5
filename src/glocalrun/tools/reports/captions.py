"""What ``snakemake --report`` says beside page, figures and tables: reStructuredText of what benchmark and tables say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from glocalseg.plan.jobs import Plan
from glocalseg.records.files import write_atomic
from glocalseg.report.text.names import display, plain

FIRST = ("main", "primary", "claims", "comparisons", "gain", "dice", "forest", "structures")  # what stands above the others
SHOWN = ".svg"
_VARIANT = re.compile(r"-(narrow|dark|narrow-dark)$")  # of a figure, for phones and dark pages
_ESCAPED = re.compile(r"\\([\\`*_\[\]<>|])")
_SUPERSCRIPT = re.compile(r"<sup>(.*?)</sup>")
_SPECIAL = re.compile(r"([\\`*_|])")
_PLACE = re.compile(r"\{(?=[{%#])")


@dataclass(frozen=True)
class Item:
    """A file as the report of Snakemake lists it: under ``category`` and ``subcategory``, with labels and a caption's file."""

    path: Path
    category: str
    subcategory: str | None
    labels: dict[str, str]
    caption: Path


def items(plan: Plan, templates: Path, state: Path) -> list[Item]:
    """Page, figures and tables of a plan's finished report; none where it is not finished.

    Args:
        plan: of a benchmark; its report lies below the working directory.
        templates: folder of ``page.rst`` and ``figures.rst``.
        state: folder for captions of tables, which the tables' own files hold.
    """
    folder = plan.report.record.parent
    if not plan.report.record.is_file():
        return []
    page = folder / "report" / "index.html"
    found = [Item(page, "Report", None, {"name": "The whole report"}, templates / "page.rst")] if page.is_file() else []
    return [*found, *_figures(plan, folder / "figures", templates / "figures.rst"), *_tables(folder / "tables", state)]


def _figures(plan: Plan, folder: Path, caption: Path) -> list[Item]:
    """Each figure once: drawn for wide and light pages, as SVG; one that is mostly images as PNG."""
    found = []
    for path in folder.glob("*.svg"):
        if _VARIANT.search(path.stem):
            continue
        name = next((n for n in sorted(plan.cards, key=len, reverse=True) if path.stem.startswith(f"{n}-")), "")
        title = path.stem.removeprefix(f"{name}-").replace("-", " ")
        shown = path.with_suffix(".png") if path.with_suffix(".webp").is_file() else path
        set_ = plan.cards[name].title if name else None
        found.append(Item(shown, "Figures", set_, {"figure": title}, caption))
    return sorted(found, key=lambda item: (item.subcategory or "", *_place(item.labels["figure"])))


def _tables(folder: Path, state: Path) -> list[Item]:
    """Each table that has rows, called by its title."""
    found = []
    for path in sorted(folder.glob("*.csv"), key=lambda path: _place(path.stem)):
        page = path.with_suffix(".md")
        if len(path.read_text(encoding="utf-8").splitlines()) < 2 or not page.is_file():
            continue
        title, said = described_table(page.read_text(encoding="utf-8"))
        caption = state / "captions" / f"{path.stem}.rst"
        _keep(caption, f"{said}\n")
        found.append(Item(path, "Tables", None, {"table": title}, caption.absolute()))
    return found


def _place(name: str) -> tuple[int, str]:
    return (FIRST.index(name) if name in FIRST else len(FIRST), name)


def described_table(text: str) -> tuple[str, str]:
    """Title, as plain text, and caption, as reStructuredText, of a table's Markdown file."""
    title, _, rest = text.partition("\n\n")
    return _plain(title.removeprefix("# ")), restructured(_plain(rest.partition("\n\n")[0]))


def _plain(markdown: str) -> str:
    return _ESCAPED.sub(r"\1", _SUPERSCRIPT.sub(r"^\1", markdown))


def restructured(text: str) -> str:
    """Plain text as a paragraph of reStructuredText in which nothing is markup, nor a place for Snakemake to fill in."""
    return _PLACE.sub(r"{\\", _SPECIAL.sub(r"\\\1", " ".join(text.split())))


def described(plan: Plan, template: Path, target: Path) -> Path:
    """Write what the benchmark is, for the first page of Snakemake's report, and return where, as an absolute path."""
    b = plan.benchmark
    words = {
        "title": b.title,
        "name": b.name,
        "datasets": [card.title for card in plan.cards.values()],
        "methods": [plain(display(method.id)) for method in b.methods],
        "budgets": [str(budget) for budget in b.budgets],
        "repeats": len(b.all_repeats),
        "finetunings": len(plan.of("finetune")),
        "finished": plan.report.record.is_file(),
        "page": (plan.report.record.parent / "report" / "index.html").as_posix(),
    }
    environment = Environment(undefined=StrictUndefined, finalize=lambda v: restructured(v) if isinstance(v, str) else v)
    environment.filters["listed"] = ", ".join
    text = environment.from_string(template.read_text(encoding="utf-8")).render(words)
    _keep(target, text)
    return target.absolute()


def _keep(path: Path, text: str) -> None:
    """Write a text unless it is there: every process of Snakemake comes by here."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_atomic(path, text.encode())
