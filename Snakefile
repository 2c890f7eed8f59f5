# The graph of one benchmark: fetch -> verify -> prepare -> pretrain -> diagnose, fine-tune -> score -> report.
# What runs is chosen by `--configfile config/<name>.yaml`; without one it is config/quick.yaml. See README.md.
from snakemake.utils import min_version

min_version("9.20")


wildcard_constraints:
    dataset="[a-z][a-z0-9_]*",
    benchmark="[a-z][a-z0-9_]*",
    weights="[a-z][a-z0-9_]*",
    origin="[0-9a-z]+",
    check="[0-9a-f]{10}",
    chain="[a-z0-9_+]+",
    budget="all|[0-9]+",
    repeat="r[0-9]+|c[0-9]+-p[0-9]+-f[0-9]+",
    seed="[0-9]+",
    key="[0-9a-f]{10}",


include: "workflow/rules/internals.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/again.smk"
include: "workflow/rules/locks.smk"
include: "workflow/rules/machine.smk"
include: "workflow/rules/messages.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        unknown,
        wanted,
        shown(),
    message:
        "all of it is there"


onstart:
    calls.begin()
    check_cluster()
    limit_gpu_jobs()
    start_of_run(mark_again())


onsuccess:
    end_of_run()
    calls.end()


onerror:
    failed_run()
    calls.end()
