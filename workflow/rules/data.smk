# From a dataset card to a slice store.


rule fetch:
    output:
        "data/raw/{dataset}/{origin}/fetched.json",
    log:
        "logs/fetch/{dataset}/{origin}.log",
    priority: 100
    conda:
        environment
    threads: 1
    resources:
        mem_mb=2000,
        runtime=720,
    params:
        **program(),
    message:
        "fetch {wildcards.dataset}"
    shell:
        "{params.python} {params.programs}/fetch.py --benchmark {params.benchmark} --record {output} --log {log}"


checkpoint verify:
    input:
        ancient("data/raw/{dataset}/{origin}/fetched.json"),
    output:
        "data/raw/{dataset}/{origin}/{check}/verified.json",
    log:
        "logs/verify/{dataset}/{origin}-{check}.log",
    priority: 100
    conda:
        environment
    threads: MORE_THREADS
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        **program(threads=1),
    message:
        "verify {wildcards.dataset}: every case, file by file"
    shell:
        "{params.python} {params.programs}/verify.py --benchmark {params.benchmark} --record {output} --log {log} "
        "--workers {threads}"


if not UNLOCKED:
    no_checkpoint("verify")


rule prepare:
    input:
        verified,
    output:
        PHASES["data"].pattern,
    log:
        "logs/prepare/{dataset}/{key}.log",
    priority: 100
    conda:
        environment
    threads: MORE_THREADS
    resources:
        mem_mb=growing(16000),
        runtime=growing(480),
    params:
        **program("data", threads=1),
    message:
        "prepare {wildcards.dataset}: slices and labels"
    shell:
        "{params.python} {params.programs}/prepare.py --benchmark {params.benchmark} --record {output} --log {log} "
        "--workers {threads}"
