"""Scores of all runs to tables, figures and the report page, and what ``snakemake --report`` shows of them."""

from glocalrun.reports.captions import described, items
from snakemake.io import report as flagged

TEMPLATES = HERE / "workflow" / "report"


report: str(described(PLAN, TEMPLATES / "workflow.rst", STATE / f"{BENCHMARK.name}.rst"))


def shown():
    """Page, figures and tables of the report that is there: inputs of the target, which makes nothing, flagged for --report.

    No job declares them as its outputs, because the record stands for them, and existing means current.
    """
    return [
        flagged(str(i.path), caption=str(i.caption), category=i.category, subcategory=i.subcategory, labels=i.labels)
        for i in items(PLAN, TEMPLATES, STATE)
    ]


rule report:
    input:
        parents("report"),
    output:
        PHASES["report"].pattern,
    log:
        "logs/report/{benchmark}/{key}.log",
    conda:
        environment
    threads: MORE_THREADS
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        **program("report", threads=1),
    message:
        "report {params.label}"
    shell:
        "{params.python} {params.programs}/report.py --benchmark {params.benchmark} --record {output} --log {log}"
