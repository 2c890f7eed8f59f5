# Training with labels, from every start, with every budget and draw; its scores on the tested subjects. On a cluster, the runs of a
# method and seed share allocations, one after another (profiles/slurm says how many): each of them takes minutes.
FINETUNED = "results/finetune/{dataset}/{method}/n{budget}/c{draw}/seed{seed}/{key}/run.json"


rule finetune:
    input:
        parents(FINETUNED),
    output:
        FINETUNED,
    log:
        "logs/finetune/{dataset}/{method}/n{budget}/c{draw}/seed{seed}/{key}.log",
    conda:
        ENVIRONMENT
    params:
        run=program("finetune"),
    threads: BENCHMARK.threads
    group:
        "finetune.{dataset}.{method}.seed{seed}"
    resources:
        mem_mb=growing(6000),
        runtime=growing(30),
        one_at_a_time=1,
        gpu=one_gpu,
    message:
        "fine-tune {wildcards.dataset} {wildcards.method} n{wildcards.budget} c{wildcards.draw} seed{wildcards.seed}"
    shell:
        "{params.run} --record {output} --log {log}"
