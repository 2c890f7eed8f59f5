# Scores of all runs to tables, figures and the report page. What `snakemake --report` shows of them is in messages.smk.


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
        "{params.python} {params.programs}/report.py --benchmark {params.benchmark} --record {output} --log {log} "
        "--workers {threads}"
