# make setup · card · look · benchmark · status · report-merge · report-diff · export · predict · test · fuzz · lint · docs · same-bits · publish · restore · verify-published · check · prune. Each makes the environment .venv when it is missing or the lock file changed.
#
#   make card FOLDER=<folder or archive> NAME=<name>       config/datasets/<name>.yaml, drafted from what lies there; FORCE=yes replaces one
#   make look CONFIG=<file> [MIRROR=...]                    its data, verified and sliced, on a page: before anything is trained
#   make benchmark                                          the quick benchmark on the embedded phantom
#   make benchmark CONFIG=config/hippocampus.yaml MIRROR=<folder or url>
#   make status [CONFIG=...] [WATCH=1]                     what is finished, runs, waits or failed, time left, scores so far
#   make report-merge FOLDERS="<folder> <folder> ..." [OUT=results/merged]   several benchmarks or sites as one report
#   make report-diff A=<report> B=<report> [OUT=<file>.md]  what changed between two reports; ends with 2 if that is beyond noise (make makes 2 of its 1)
#   make publish CONFIG=config/hippocampus.yaml            its report copied to results/published, which git keeps: no checkpoints
#   make restore RUNS=results/published/<name> CONFIG=...   its runs, without weights and predictions, to go on from in this checkout
#   make verify-published RUNS=results/published/<name>     whether runs that were made here are equal to those, bit for bit
#   make export RUN=<folder of a fine-tuning> [OUT=...]     a network with all that it needs; or CONFIG=... METHOD=gd+lr BUDGET=8: all repeats
#   make predict MODEL=<folder> IMAGES=<folder> OUT=<folder>   labels of images; FORCE=yes replaces those that are there
#   make test-slow                                          tests that train networks or run whole workflows, for minutes
#   make fuzz [TARGET=nifti] [COUNT=1000] [SEED=0]         corrupted inputs by the thousand; NUMBER=<case>: one of them again
#   make test-slurm                                         tests on a real SLURM, which it installs: as root, in no cluster
#   make same-bits                                          changed code that gives the same bits keeps its keys
#   make docs                                               what is generated of README.md, docs/ and config/schemas
#   make check                                              every file of every result against its sha256
#   make prune                                              what no configuration gives any more; CONFIRM=yes removes it
#   make setup TORCH_INDEX=<url>                            an index with CPU builds of torch, where the usual one has none

VENV ?= .venv
CONFIG ?= config/quick.yaml
BIN := $(VENV)/bin
READY := $(VENV)/.installed
CONFIGS ?= $(wildcard config/*.yaml)
# Text and names of files are UTF-8, whatever the locale.
export PYTHONUTF8 := 1
# Snakemake needs a cache: where the home folder cannot be written to, it is here.
ifneq ($(shell d="$${XDG_CACHE_HOME:-$$HOME/.cache}"; mkdir -p "$$d/snakemake" 2>/dev/null && test -w "$$d/snakemake" && echo yes),yes)
export XDG_CACHE_HOME := $(CURDIR)/.snakemake/cache
export MPLCONFIGDIR := $(CURDIR)/.snakemake/cache
endif

.PHONY: help setup card look benchmark status report-merge report-diff export predict test test-slow test-slurm fuzz lint docs same-bits publish restore verify-published check prune

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

setup: $(READY)

$(READY): requirements.lock pyproject.toml envs/install.py
	@for python in python3.11 python3.12 python3.13 python3; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    exec $$python envs/install.py $(VENV) --torch-index="$(TORCH_INDEX)"; \
	  fi; \
	done; echo "expected Python 3.11 or newer, found: $$(python3 --version 2>&1)"; exit 1
	@touch $@

card: $(READY)
	@$(BIN)/python workflow/scripts/card.py $(if $(FOLDER),--folder="$(FOLDER)") $(if $(NAME),--name="$(NAME)") $(if $(filter yes,$(FORCE)),--force)

look: $(READY)
	@$(BIN)/python workflow/scripts/look.py "$(CONFIG)" $(if $(MIRROR),--mirror="$(MIRROR)")

benchmark: $(READY)
	@$(BIN)/snakemake --profile local --configfile $(CONFIG) $(if $(MIRROR),--config mirror="$(MIRROR)")
	@$(BIN)/python workflow/scripts/where.py $(CONFIG)

status: $(READY)
	@$(BIN)/python workflow/scripts/status.py "$(CONFIG)" $(if $(WATCH),--watch)

report-merge: $(READY)
	@$(BIN)/python workflow/scripts/report_merge.py $(FOLDERS) $(if $(OUT),--out="$(OUT)")

report-diff: $(READY)
	@$(BIN)/python workflow/scripts/report_diff.py $(if $(A),"$(A)") $(if $(B),"$(B)") $(if $(OUT),--out="$(OUT)")

export: $(READY)
	@$(BIN)/python workflow/scripts/export.py $(if $(RUN),--run="$(RUN)") --config="$(CONFIG)" $(if $(METHOD),--method="$(METHOD)") \
	  $(if $(BUDGET),--budget="$(BUDGET)") $(if $(DATASET),--dataset="$(DATASET)") $(if $(OUT),--out="$(OUT)")

predict: $(READY)
	@$(BIN)/python workflow/scripts/predict.py $(if $(MODEL),--model="$(MODEL)") $(if $(IMAGES),--images="$(IMAGES)") \
	  $(if $(OUT),--out="$(OUT)") $(if $(THREADS),--threads="$(THREADS)") $(if $(filter yes,$(FORCE)),--overwrite)

test: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow and not slurm"

test-slow: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m slow

test-slurm: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slurm

fuzz: $(READY)
	@$(BIN)/python tests/fuzz/fuzz.py --count="$(or $(COUNT),1000)" --seed="$(or $(SEED),0)" $(if $(TARGET),--target="$(TARGET)") \
	  $(if $(NUMBER),--number="$(NUMBER)")

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/snakefmt --check Snakefile workflow
	@$(BIN)/snakemake --lint

docs: $(READY)
	@$(BIN)/python docs/generate.py

same-bits: $(READY)
	@$(BIN)/python workflow/scripts/same_bits.py $(ENTRIES)

publish: $(READY)
	@$(BIN)/python workflow/scripts/publish.py "$(CONFIG)"

restore: $(READY)
	@$(BIN)/python workflow/scripts/restore.py $(if $(RUNS),"$(RUNS)") --config="$(CONFIG)"

verify-published: $(READY)
	@$(BIN)/python workflow/scripts/verify_published.py $(if $(RUNS),"$(RUNS)")

check: $(READY)
	@$(BIN)/python workflow/scripts/check.py $(CONFIGS)

prune: $(READY)
	@$(BIN)/python workflow/scripts/prune.py $(CONFIGS) $(if $(filter yes,$(CONFIRM)),--confirm)
