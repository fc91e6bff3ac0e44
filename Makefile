# Everything that people and CI do with this project. `make` alone lists it.

.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Some images forbid it. Then every process that a test starts would compile the program first.
unexport PYTHONDONTWRITEBYTECODE

# Least share of the code that `make coverage` accepts, in percent.
COVERAGE := 90

.PHONY: help demo test test-all coverage check docs bench mutants release clean

help:  ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed  ## Open a local Slack workspace with the bot in the browser; ARGS=--tour plays it in the terminal
	$(BIN)/iterable-sync demo $(ARGS)

test: $(VENV)/.installed-dev  ## Run the tests
	$(BIN)/python -m pytest $(ARGS)

test-all: $(VENV)/.installed-dev  ## Run what make test leaves out: the extended tests, and more examples
	$(BIN)/python -m pytest -m 'extended or hypothesis' --hypothesis-profile thorough $(ARGS)

coverage: $(VENV)/.installed-dev  ## Run the tests and fail if they cover too little of the code
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-fail-under=$(COVERAGE) $(ARGS)

check: $(VENV)/.installed-dev  ## Check style, types, imports, spelling and phrases
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m tools.phrases

docs: $(VENV)/.installed-dev  ## Build the documentation as a site, in build/docs
	PYTHONPATH=. NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: $(VENV)/.installed-dev  ## Measure speed and memory
	$(BIN)/python -m tests.benchmarks $(ARGS)

mutants: $(VENV)/.installed-dev  ## Change the code in small ways and see whether a test fails (takes about an hour)
	$(PIP) --editable '.[dev,mutants]'
	$(BIN)/python -m tests.campaigns.mutants $(ARGS)

release: $(VENV)/.installed-dev  ## Build and check the wheel, the source archive, the SBOM and the licenses, in build/release
	$(BIN)/python -m tools.release

clean:  ## Remove everything that these targets created
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed. Name one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV) ..."
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV), with what the tests need ..."
	$(PIP) --editable '.[dev]'
	@touch $(VENV)/.installed $@
