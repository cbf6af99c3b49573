# One virtual environment, .venv, holds the package (editable) and what each target needs.
# Stamps remember what was installed; only a change of pyproject.toml installs again.

PYTHON ?= python3
WORKERS ?= 2
OUT ?= demo_output

VENV := .venv
BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip --quiet
NOTEBOOKS = $(wildcard notebooks/*.ipynb)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: demo
demo: $(VENV)/.for-use ## the main job on a real log and on a simulated shop; tables and reports in demo_output/
	$(BIN)/journeykit demo --out $(OUT)

.PHONY: test
test: $(VENV)/.for-tests ## the whole test suite, doctests included
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

.PHONY: test-spark
test-spark: $(VENV)/.for-spark ## the tests on a local Spark; needs Java 17 or newer on the path or in JAVA_HOME
	$(BIN)/python -m pytest tests/engines -m spark

.PHONY: lint
lint: $(VENV)/.for-development ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: format
format: $(VENV)/.for-development ## let ruff repair what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: types
types: $(VENV)/.for-development ## mypy, strict, on src and on an example of user code
	$(BIN)/mypy

.PHONY: imports
imports: $(VENV)/.for-development ## the layers and the homes of the heavy libraries
	$(BIN)/lint-imports --no-logo

.PHONY: docs
docs: $(VENV)/.for-development ## build docs/_build/html; a warning is an error
	$(BIN)/python -m sphinx --fresh-env --fail-on-warning --keep-going --quiet -b html docs docs/_build/html

.PHONY: notebooks
notebooks: $(VENV)/.for-development ## run every notebook from a fresh kernel; the results go to build/
ifneq ($(NOTEBOOKS),)
	$(BIN)/python -m nbconvert --log-level=WARN --to notebook --execute --output-dir build/notebooks $(NOTEBOOKS)
else
	@echo "no notebooks yet"
endif

.PHONY: notebooks-refresh
notebooks-refresh: $(VENV)/.for-development ## run every notebook and keep its new outputs
ifneq ($(NOTEBOOKS),)
	$(BIN)/python -m nbconvert --log-level=WARN --to notebook --execute --inplace \
		--ExecutePreprocessor.record_timing=False $(NOTEBOOKS)
endif

.PHONY: wheel
wheel: $(VENV)/.made ## build the wheel, install it elsewhere, try it there
	rm -rf dist/*.whl
	$(PIP) wheel --no-deps --wheel-dir dist .
	@set -e; place=$$(mktemp -d); trap 'rm -rf "$$place"' EXIT; mkdir "$$place/empty"; \
	$(PYTHON) -m venv "$$place/venv"; \
	PIP_DISABLE_PIP_VERSION_CHECK=1 "$$place/venv/bin/python" -m pip --quiet install dist/*.whl; \
	cp tests/smoke.py "$$place/smoke.py"; cd "$$place/empty"; \
	env -u PYTHONPATH PATH="$$place/venv/bin:$$PATH" "$$place/venv/bin/python" -I "$$place/smoke.py"

.PHONY: bench
bench: $(VENV)/.for-tests ## the benchmarks; see benchmarks/README.md for what they need
	$(BIN)/python benchmarks/run.py

# The interpreters that have peers, e.g. PEERS="--peer-python CHDB/bin/python --peer-python retentioneering=R/bin/python".
PEERS ?=

.PHONY: bench-full
bench-full: $(VENV)/.for-tests ## all sizes, ids and orders against all peers, out of core and plots; goes on where it stopped
	$(BIN)/python benchmarks/run.py --events 1m 10m --ids str int --variants ordered,shuffled,giant --resume $(PEERS)
	$(BIN)/python benchmarks/run.py --events 50m --repeat 2 --peers chdb:once,chdb:each,duckdb:once,polars:once --resume $(PEERS)
	$(BIN)/python benchmarks/out_of_core.py --events 10m 50m 200m
	$(PIP) install matplotlib
	$(BIN)/python benchmarks/plots.py

.PHONY: check
check: test lint types imports wheel docs notebooks ## everything that .ci/run checks

.PHONY: clean
clean: ## remove what the targets made, .venv included
	rm -rf $(VENV) build dist docs/_build $(OUT) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "journeykit needs Python 3.11 or newer, and '$(PYTHON)' is not (or is not installed)." >&2; \
	  echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.for-use: pyproject.toml | $(VENV)/.made
	@echo "installing journeykit into $(VENV); the first time takes a minute or two"
	$(PIP) install --editable .
	@touch $@

$(VENV)/.for-tests: pyproject.toml | $(VENV)/.for-use
	@echo "installing what the tests need into $(VENV)"
	$(PIP) install --editable '.[test]'
	@touch $@

$(VENV)/.for-spark: pyproject.toml | $(VENV)/.for-tests
	@echo "installing Spark into $(VENV): half a gigabyte, about a minute"
	$(PIP) install --editable '.[spark]'
	@touch $@

$(VENV)/.for-development: pyproject.toml | $(VENV)/.for-tests
	@echo "installing what linting, typing, docs and notebooks need into $(VENV)"
	$(PIP) install --editable '.[dev]'
	@touch $@
