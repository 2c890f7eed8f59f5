# Contrastive pretraining, one run for every strategy and seed, and what it learned, judged without labels.
PRETRAINED = "results/pretrain/{dataset}/{name}/seed{seed}/{key}/run.json"
DIAGNOSED = "results/diagnose/{dataset}/{name}/seed{seed}/{key}/run.json"


rule pretrain_global:
    input:
        parents(PRETRAINED),
    output:
        PRETRAINED,
    wildcard_constraints:
        name="[a-z0-9_]+",
    log:
        "logs/pretrain/{dataset}/{name}/seed{seed}/{key}.log",
    conda:
        ENVIRONMENT
    params:
        run=program("pretrain_global"),
    threads: BENCHMARK.threads
    resources:
        mem_mb=growing(6000),
        runtime=growing(240),
        gpu=one_gpu,
    priority: 50
    message:
        "pretrain (global) {wildcards.dataset} {wildcards.name} seed{wildcards.seed}"
    shell:
        "{params.run} --record {output} --log {log}"


rule pretrain_local:
    input:
        parents(PRETRAINED),
    output:
        PRETRAINED,
    wildcard_constraints:
        name="[a-z0-9_]+[+][a-z0-9_]+",
    log:
        "logs/pretrain/{dataset}/{name}/seed{seed}/{key}.log",
    conda:
        ENVIRONMENT
    params:
        run=program("pretrain_local"),
    threads: BENCHMARK.threads
    resources:
        mem_mb=growing(6000),
        runtime=growing(240),
        gpu=one_gpu,
    priority: 50
    message:
        "pretrain (local) {wildcards.dataset} {wildcards.name} seed{wildcards.seed}"
    shell:
        "{params.run} --record {output} --log {log}"


rule diagnose:
    input:
        parents(DIAGNOSED),
    output:
        DIAGNOSED,
    log:
        "logs/diagnose/{dataset}/{name}/seed{seed}/{key}.log",
    conda:
        ENVIRONMENT
    params:
        run=program("diagnose"),
    threads: BENCHMARK.threads
    group:
        "diagnose.{dataset}.seed{seed}"
    resources:
        mem_mb=growing(6000),
        runtime=growing(20),
        one_at_a_time=1,
        gpu=one_gpu,
    message:
        "diagnose {wildcards.dataset} {wildcards.name} seed{wildcards.seed}"
    shell:
        "{params.run} --record {output} --log {log}"
