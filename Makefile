# `make` lists the targets. All of them but `lock` need only python >= 3.11, make and git.

BIN := .venv/bin
SETUP := .venv/.setup-done
ON_ALL_CORES := -n logical --maxprocesses 4
FILE_BY_FILE := --dist loadfile --no-loadscope-reorder
TEST_BY_TEST := --dist load --maxschedchunk 1
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))

.DEFAULT_GOAL := help
.PHONY: help setup repro verify sign ui serve scale test test-slow test-faults test-cluster lock clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s%s\n", $$1, $$2}' Makefile

setup: $(SETUP)  ## Make .venv with every package at its locked version and hash

$(SETUP): requirements.lock pyproject.toml
	@"$(or $(PYTHON),python3)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo 'error: PYTHON: "$(or $(PYTHON),python3)" is not python 3.11 or newer;' \
		'install one, or name it: make setup PYTHON=/path/to/python3' >&2; exit 1; }
	@echo 'Installing into .venv: some 6 GB, a few minutes the first time'
	@"$(PYTHON)" -m venv --clear .venv
	@# The lock is complete; pip alone would not accept the override that pyproject.toml has.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation -e .
	@touch $(SETUP)

repro: $(SETUP)  ## Run what is out of date; a stage a core, or JOBS=1, or on CLUSTER=tls://HOST:8786
	@PATH="$(CURDIR)/$(BIN):$$PATH"; mnist-diffusion check && \
		mnist-diffusion repro $(if $(JOBS),--jobs "$(JOBS)") $(if $(CLUSTER),--cluster "$(CLUSTER)")

verify: $(SETUP)  ## After make repro elsewhere: which bits, scores and verdicts are the committed ones
	@$(BIN)/mnist-diffusion verify

sign: $(SETUP)  ## Audit everything and, if all is proven, sign it: make sign [KEY=~/.ssh/id_ed25519]
	@$(BIN)/mnist-diffusion sign $(if $(KEY),"$(KEY)")

ui: $(SETUP)  ## Open MLflow on the runs there are
	@$(BIN)/mnist-diffusion ui

serve: $(SETUP)  ## Answer digits with pictures on 127.0.0.1: make serve [RUN=cosine-class] [PORT=5001]
	@$(BIN)/mnist-diffusion serve $(if $(RUN),--run "$(RUN)") $(if $(PORT),--port "$(PORT)")

scale: $(SETUP)  ## Put another scale into params.yaml: make scale SCALE=gpu [FORCE=1]
	@test -n "$(SCALE)" || \
		{ echo 'error: SCALE: not given; run make scale SCALE=gpu (or smoke)' >&2; exit 1; }
	@$(BIN)/mnist-diffusion scale "$(SCALE)" $(if $(FORCE),--force)

.PHONY: tstr speedrun
tstr: $(SETUP)  ## Teach classifiers by 50,000 drawn digits: make tstr [CELL=latent-seconds-g1p5]
	@$(BIN)/mnist-diffusion yardstick tstr $(if $(CELL),--cell "$(CELL)")

speedrun: $(SETUP)  ## Time two cores to a stated FD, by the rules of docs/speedrun.md
	@$(BIN)/mnist-diffusion yardstick speedrun

test: $(SETUP)  ## Check style, types and layers, then run all tests but the slow ones
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest $(ON_ALL_CORES) $(FILE_BY_FILE) -m 'not slow and not faults and not cluster or quick'

test-slow: $(SETUP)  ## Run the slow tests
	$(BIN)/pytest $(ON_ALL_CORES) $(TEST_BY_TEST) -m slow

test-faults: $(SETUP)  ## Break everything that can break, note what held: make test-faults [FILES=…]
	$(BIN)/pytest $(ON_ALL_CORES) $(TEST_BY_TEST) -m faults $(FILES)

test-cluster: $(SETUP)  ## Submit cluster/slurm.sbatch to a Slurm of this machine, and lose a node
	$(BIN)/pytest -m cluster

lock:  ## Solve requirements.lock anew from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo 'error: uv: not found; pip install uv' >&2; exit 1; }
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
		--python-version 3.11 --all-extras pyproject.toml -o requirements.lock

clean:  ## Remove .venv and tool caches; data, models, reports and MLflow's runs stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
