"""Tables as LaTeX: what stands in the file, and that pdflatex sets every one of them, where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from fabricated_runs import Size, fabricate

from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.report.analysis.dataset import analyse
from glocalseg.report.collected.collect import collect
from glocalseg.report.tables.compared.declared import comparison_tables
from glocalseg.report.tables.recorded.failures import failure_tables
from glocalseg.report.tables.recorded.runs import record_tables
from glocalseg.report.tables.scored.scores import score_tables
from glocalseg.report.tables.table import Block, Entry, Table, with_interval
from glocalseg.report.tables.worth import worth_tables

OVERFULL = re.compile(r"Overfull \\hbox \(([\d.]+)pt too wide\)")
FIT = ("main", "primary", "comparisons", "claims")  # what papers show
LINES = ({"name": "random_again", "other_seeds": True, "control": True},)
PREAMBLE = r"""
\documentclass[10pt]{article}
\usepackage[textwidth=5.5in,textheight=9in]{geometry}
\usepackage{array,booktabs,longtable,siunitx}
\begin{document}
"""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[Table]:
    root = tmp_path_factory.mktemp("latex")
    methods = ("random", "gr", "gd_minus", "gd", "pcl", "gd+lr", "gd+ld")
    more = ({"name": "random_long", "control": True, "set": {"finetune.steps": 120}},)
    size = Size(
        methods=methods, lines=(*LINES, *more), budgets=(1, 2, 8), failing=("gd n2 r1",), rising=("gd n2",), subjects=4
    )
    plan = fabricate(root, size)
    collected = collect(plan, root)
    analyses = analyse(plan, collected)
    titles = {name: card.title for name, card in plan.cards.items()}
    return [
        *score_tables(analyses, collected, titles),
        *comparison_tables(analyses, plan.benchmark, titles),
        *failure_tables(analyses, plan, collected, titles),
        *worth_tables(analyses, plan, collected, titles),
        *record_tables(plan, collected, titles),
    ]


def of(*rows: tuple[Entry, ...], header: tuple[str, ...] = ("Method", "Dice")) -> Table:
    return Table("t_1", "Title", "Caption 5%.", pd.DataFrame(), {"set_1": Block("Set_1", header, rows)})


def test_numbers_and_the_bounds_of_their_intervals_stand_in_columns_of_numbers():
    first = with_interval(Interval(-0.0123, -0.1, 0.25), sign=True, more="worse", strong=True)
    text = of((Entry("G^{D}"), first), (Entry("a_b"), Entry("+0.500")), (Entry("c"), Entry("no run"))).latex()
    bound = "S[table-format=-1.3]"
    assert rf"\begin{{tabular}}{{@{{}}lS[table-format=+1.3]@{{\,[}}{bound}@{{,\,}}{bound}@{{]}}" in text
    assert r"G\textsuperscript{D} & \bfseries -0.012 & -0.100 & 0.250 & worse \\" in text
    assert (
        r"a\_b & \multicolumn{1}{S[table-format=+1.3]}{+0.500} & \multicolumn{1}{c}{} & \multicolumn{1}{c}{} &  \\" in text
    )
    assert r"c & \multicolumn{4}{c}{no run} \\" in text
    assert r"\caption{Set\_1: Title. Caption 5\%.}" in text
    assert r"\label{tab:t-1-set-1}" in text


def test_a_number_of_labelled_volumes_is_a_heading_and_what_is_always_the_same_stands_in_the_caption():
    rows = [(Entry(m), Entry(n), Entry("Random init"), Entry("0.5")) for n in ("1", "2") for m in ("a", "b")]
    text = of(*rows, header=("Method", "Labelled volumes", "Against", "Dice")).latex()
    assert text.count(r"\itshape Labelled volumes: ") == 2
    assert "Against: Random init.}" in text
    assert text.count("Random init") == 1
    mixed = of(*rows[::2], *rows[1::2], header=("Method", "Labelled volumes", "Against", "Dice")).latex()
    assert r"\itshape" not in mixed, "values that come again are no headings"


def test_more_columns_than_a_page_holds_come_in_parts_and_none_is_lost():
    header = ("Method", *(f"m{i}" for i in range(40)))
    row = (Entry("a"), *(Entry(f"0.{i + 100}") for i in range(38)), Entry("both", span=2))
    text = of(row, header=header).latex()
    parts = text.count(r"\begin{table*}")
    assert parts > 1
    assert f"Part {parts} of {parts}." in text
    assert len(set(re.findall(r"\\label\{(.*?)\}", text))) == parts
    assert sorted(set(re.findall(r"0\.\d{3}(?!\])", text))) == [f"0.{i + 100}" for i in range(38)]
    assert "both" in text


def test_many_rows_break_over_pages_and_nothing_is_a_comment():
    assert r"\begin{longtable}" in of(*[(Entry(f"m{i}"), Entry("0.5")) for i in range(60)]).latex()
    empty = Table("missing", "Missing_runs", "", pd.DataFrame(), {}).latex()
    assert empty == "% Missing\\_runs: there is nothing to list.\n"


@pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="no pdflatex: apt-get install texlive-latex-extra texlive-science"
)
def test_pdflatex_sets_every_table_and_none_that_papers_show_is_too_wide(tables: list[Table], tmp_path: Path):
    strange = (
        of((Entry("50% & a_b <i> #1 {x} ~ \\ ^ …"), Entry("0.1", more="‡ ≤ ×²"))),
        Table("none", "T", "", pd.DataFrame(), {}),
    )
    every = [*tables, *strange]
    body = [f"\\typeout{{table {table.name}.}}\n{table.latex()}\\clearpage" for table in every]
    (tmp_path / "all.tex").write_text(PREAMBLE + "\n".join(body) + "\n\\end{document}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=300)
    missing = re.search(r"File `(.*?\.sty)' not found", done.stdout)
    if missing:
        pytest.skip(f"pdflatex without {missing[1]}: apt-get install texlive-latex-extra texlive-science")
    assert done.returncode == 0, done.stdout[-3000:]
    parts = re.split(r"^table (\w+)\.$", done.stdout, flags=re.MULTILINE)
    wide = {name: [float(w) for w in OVERFULL.findall(log)] for name, log in zip(parts[1::2], parts[2::2], strict=True)}
    assert set(wide) == {table.name for table in every}
    assert {name: wide[name] for name in FIT if max(wide[name], default=0) > 2} == {}
    assert {name: found for name, found in wide.items() if max(found, default=0) > 10} == {}
