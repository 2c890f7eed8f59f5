# From a dataset card to a slice store.


rule fetch:
    output:
        "data/raw/{dataset}/{identity}/fetched.json",
    log:
        "logs/fetch/{dataset}/{identity}.log",
    conda:
        ENVIRONMENT
    params:
        run=program("fetch"),
    threads: 1
    resources:
        mem_mb=2000,
        runtime=720,
    priority: 100
    message:
        "fetch {wildcards.dataset}"
    shell:
        "{params.run} --record {output} --log {log}"


rule verify:
    input:
        ancient("data/raw/{dataset}/{identity}/fetched.json"),
    output:
        "data/raw/{dataset}/{identity}/verified.json",
    log:
        "logs/verify/{dataset}/{identity}.log",
    conda:
        ENVIRONMENT
    params:
        run=program("verify", threads=1),
    threads: MORE_THREADS
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    priority: 100
    message:
        "verify {wildcards.dataset}: every case, file by file"
    shell:
        "{params.run} --record {output} --workers {threads} --log {log}"


rule prepare:
    input:
        verified,
    output:
        STORE,
    log:
        "logs/prepare/{dataset}/{key}.log",
    conda:
        ENVIRONMENT
    params:
        run=program("prepare", threads=1),
    threads: MORE_THREADS
    resources:
        mem_mb=growing(16000),
        runtime=growing(480),
    priority: 100
    message:
        "prepare {wildcards.dataset}: slices, partitions, labels"
    shell:
        "{params.run} --record {output} --workers {threads} --log {log}"
