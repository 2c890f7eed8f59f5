# Training with labels, from every start, with every budget, in every repeat, and its scores on the tested subjects. On a cluster,
# the budgets of a method in a repeat, which wait for the same pretraining, share an allocation, one after another: each of them
# takes minutes, its scores seconds. Heads on frozen features start from these, which are computed once.


rule features:
    input:
        parents("features"),
    output:
        PHASES["features"].pattern,
    log:
        log_of("features"),
    priority: 50
    conda:
        environment
    threads: BENCHMARK.threads
    resources:
        mem_mb=growing(6000),
        runtime=growing(120),
        gpu=one_gpu,
    params:
        **program("features"),
    message:
        "features of {params.label}"
    shell:
        "{params.python} {params.programs}/features.py --benchmark {params.benchmark} --record {output} --log {log}"


rule finetune:
    input:
        parents("finetune"),
    output:
        PHASES["finetune"].pattern,
    log:
        log_of("finetune"),
    group:
        "finetune.{dataset}.{chain}.{repeat}"
    conda:
        environment
    threads: BENCHMARK.threads
    resources:
        mem_mb=growing(6000),
        runtime=growing(30),
        one_at_a_time=1,
        gpu=one_gpu,
    params:
        **program("finetune"),
    message:
        "fine-tune {params.label}"
    shell:
        "{params.python} {params.programs}/finetune.py --benchmark {params.benchmark} --record {output} --log {log}"


rule score:
    input:
        parents("score"),
    output:
        PHASES["score"].pattern,
    log:
        log_of("score"),
    priority: 60
    group:
        "score.{dataset}.{chain}.{repeat}"
    conda:
        environment
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(10),
        one_at_a_time=1,
    params:
        **program("score", threads=1),
    message:
        "score {params.label}"
    shell:
        "{params.python} {params.programs}/score.py --benchmark {params.benchmark} --record {output} --log {log}"
