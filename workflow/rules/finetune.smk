# Training with labels, from every start, with every budget and draw; its scores on the tested subjects.
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
    resources:
        mem_mb=4000,
        runtime=720,
        gpu=GPUS,
    message:
        "fine-tune {wildcards.dataset} {wildcards.method} n{wildcards.budget} c{wildcards.draw} seed{wildcards.seed}"
    shell:
        "{params.run} --record {output} --log {log}"
