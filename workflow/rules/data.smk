# From a dataset card to a slice store, and from a card of bought-in weights to their file.


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


checkpoint fetch_weights:
    output:
        "data/weights/{weights}/fetched.json",
    log:
        "logs/fetch_weights/{weights}.log",
    priority: 100
    conda:
        environment
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        **program(threads=1),
    message:
        "fetch the weights {wildcards.weights}"
    shell:
        "{params.python} {params.programs}/fetch_weights.py --benchmark {params.benchmark} --record {output} --log {log}"


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
if not UNFETCHED:
    no_checkpoint("fetch_weights")


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
