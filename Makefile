# Every command sets itself up on first use. ARGS takes Hydra overrides: make train ARGS="train.epochs=2 seed=1"
SHELL := /bin/bash
export BENTOML_DO_NOT_TRACK := True
.DEFAULT_GOAL := help
ARGS ?=
PIP_ARGS ?=
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
STAGES := train preprocess pretrain finetune evaluate crossvalidate forms compress register tune predict index search ask \
    promote canary shadow load package export rollback history verify doctor relocate gc backup restore

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'Settings: make train ARGS="data=files data.train=rows.csv name=mine". Where pip should look: PIP_ARGS="..."'

setup: $(READY) ## make .venv from constraints.txt (any other command does it too)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit("error: Python 3.11 to 3.13 is needed, this is %s. Name one: make setup PYTHON=python3.12" % sys.version.split()[0])'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo 'error: this Python has no venv module. On Debian or Ubuntu: apt install python3-venv'; exit 2; }
	@echo 'setting up $(VENV), once: some minutes, mostly downloads'
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS) -e '.[dev]'
	@touch $@

train: ## rows -> fine-tuned, evaluated, registered challenger; goes on after a kill, does nothing when unchanged
preprocess: ## only: read, check, clean and divide the rows
pretrain: ## up to: the model that has read unlabelled text: ARGS="pretrain=mlm"
finetune: ## up to: the fine-tuned model
evaluate: ## up to: figures beside the baselines and the champion
crossvalidate: ## only the folds: ARGS="evaluate.folds=5"
forms: ## up to: faster forms of the model, held against it
compress: ## faster forms of a version, or smaller models that it teaches; the fastest that holds is the challenger: ARGS="compress=distill"
register: ## the same as train
tune: ## search for better settings on the validation rows; the best becomes conf/experiment/<name>-tuned.yaml
predict: ## rows of any number through the champion: ARGS="input=rows.csv output=out.parquet"
index: ## make documents searchable by the champion: ARGS="name=apipairs index.corpus='notes/*.md'"; the default are API docs
ask: ## a question answered from the documents of an index: ARGS="name=apipairs question='what does it return?'"
search: ## ask the index: ARGS="name=apipairs query='find the shortest path' k=5"
promote: ## challenger through the gate; package it; move the champion alias
canary: ## a version that answers some of the callers beside the champion; ARGS="version=3", ARGS="stop=true"
shadow: ## a version that answers the same texts beside the champion, to be compared; ARGS="version=3", ARGS="stop=true"
load: ## callers for a running service, and a table of what they got: ARGS="load.callers=32 load.seconds=30"
package: ## build the Bento of a version: ARGS="version=3"
export: ## a version as a folder that runs without PyTorch, transformers or us: ARGS="output=edge"
rollback: ## champion back to the version before, or ARGS="version=3"
history: ## every promotion, refusal and rollback
verify: ## check a decision again: ARGS="receipt=mlruns/work/receipts/....json"
doctor: ## what this machine has, what would stop a training, and what to do about it
gc: ## remove what nothing needs any more: ARGS="dry_run=true" lists it first
relocate: ## after the checkout was moved or copied: ARGS="dry_run=true" lists what would change
backup: ## runs, versions and receipts in one file: ARGS="archive=/safe/place/mlruns.tar"
restore: ## bring such a file back into an empty root: ARGS="archive=/safe/place/mlruns.tar"

$(STAGES): $(READY)
	@$(RUN) -m pipelines.$@ $(ARGS)

serve: $(READY) ## serve the champion on 127.0.0.1:3000
	@$(VENV)/bin/bentoml serve $(ARGS)

ui: $(READY) ## MLflow's pages on 127.0.0.1:5000
	@$(RUN) -m pipelines.ui $(ARGS)

check: $(READY) ## lint, types, the import contract, every configuration
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(VENV)/bin/pytest -q tests/code/test_conf.py

test: $(READY) ## offline, without root: all but the few tests that take minutes each
	@$(VENV)/bin/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not thorough" $(ARGS)

test-all: $(READY) ## every test, as CI runs them: twenty kills, PostgreSQL, every command of the documents
	@$(VENV)/bin/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-fast: $(READY) ## the tests that need no training and no server
	@$(VENV)/bin/pytest -m "not slow" $(ARGS)

bench-pretrain: $(READY) ## hours: what pretraining brings, over labels and over time; goes on after a kill
	@$(RUN) -m tests.bench.pretraining $(ARGS)

bench-train: $(READY) ## how fast fine-tuning is, beside what everyone can have by settings: 10 minutes or more
	@$(RUN) -m tests.bench.training $(ARGS)

bench-kills: $(READY) ## 20 kills at random moments of a training, and whether it ends the same
	@$(RUN) -m tests.bench.kills $(ARGS)

bench-drift: $(READY) ## how often drift is called where there is none, and what is seen of one value held out
	@$(RUN) -m tests.bench.drift $(ARGS)

bench-index: $(READY) ## how fast an index is built beside the bare model, and a large one: minutes
	@$(RUN) -m tests.bench.index $(ARGS)

bench-large: $(READY) ## a decoder of a billion parameters learns by adapters: memory beside what was foretold, tokens a second
	@$(RUN) -m tests.bench.large $(ARGS)

bench-serve: $(READY) ## the service beside LitServe, FastAPI, mlflow models serve, BentoML, transformers serve: half an hour
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS) -e '.[dev,bench]'
	@$(RUN) -m tests.bench.serving $(ARGS)

bench-swaps: $(READY) ## fifty versions that come and go under load: seconds, latency, memory, requests lost; five minutes
	@$(RUN) -m tests.bench.swaps $(ARGS)

bench-near: $(READY) ## near-duplicates of a corpus against exact similarities: precision, recall, time
	@$(RUN) -m tests.bench.near $(ARGS)

clean: ## remove caches and builds; never touches mlruns/
	@rm -rf build .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help setup serve ui check test test-all test-fast bench-pretrain bench-train bench-kills bench-drift bench-index bench-large bench-serve bench-swaps bench-near clean $(STAGES)
