# Pretraining, one run for every chain and seed, and what it learned, judged without labels.


rule pretrain_global:
    input:
        parents("pretrain_global"),
    output:
        PHASES["pretrain_global"].pattern,
    log:
        log_of("pretrain_global"),
    priority: 50
    conda:
        environment
    threads: BENCHMARK.threads
    resources:
        mem_mb=growing(6000),
        runtime=growing(240),
        gpu=one_gpu,
    params:
        **program("pretrain_global"),
    message:
        "pretrain (global) {params.label}"
    shell:
        "{params.python} {params.programs}/pretrain.py --benchmark {params.benchmark} --record {output} --log {log}"


rule pretrain_local:
    input:
        parents("pretrain_local"),
    output:
        PHASES["pretrain_local"].pattern,
    log:
        log_of("pretrain_local"),
    priority: 50
    conda:
        environment
    threads: BENCHMARK.threads
    resources:
        mem_mb=growing(6000),
        runtime=growing(240),
        gpu=one_gpu,
    params:
        **program("pretrain_local"),
    message:
        "pretrain (local) {params.label}"
    shell:
        "{params.python} {params.programs}/pretrain.py --benchmark {params.benchmark} --record {output} --log {log}"


rule diagnose:
    input:
        parents("diagnose"),
    output:
        PHASES["diagnose"].pattern,
    log:
        log_of("diagnose"),
    group:
        "diagnose.{dataset}.seed{seed}"
    conda:
        environment
    threads: BENCHMARK.threads
    resources:
        mem_mb=growing(6000),
        runtime=growing(20),
        one_at_a_time=1,
        gpu=one_gpu,
    params:
        **program("diagnose"),
    message:
        "diagnose {params.label}"
    shell:
        "{params.python} {params.programs}/diagnose.py --benchmark {params.benchmark} --record {output} --log {log}"
