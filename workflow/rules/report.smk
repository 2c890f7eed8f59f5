# Scores of all runs to tables, figures and the report page.
REPORTED = "results/{benchmark}/report-{key}.json"


rule report:
    input:
        parents(REPORTED),
    output:
        REPORTED,
    log:
        "logs/report/{benchmark}/{key}.log",
    conda:
        ENVIRONMENT
    params:
        run=program("report", threads=1),
    threads: MORE_THREADS
    resources:
        mem_mb=8000,
        runtime=60,
    message:
        "report {wildcards.benchmark}"
    shell:
        "{params.run} --record {output} --log {log}"
