# Everything here sets itself up: all it takes is make, and Python 3.11 or newer with pip.

ifndef PYTHON
PYTHON := $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
endif
VENV := .venv
DEMO_VENV := .venv-demo
BIN := $(VENV)/bin
DEMO_OUT ?= runs/demo
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test check test-slow gpu-check bench clean

# A virtual environment $(1) with what $(2) names; where Python lacks ensurepip, its own pip puts a pip inside.
define environment
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer found; install one, or name it: make PYTHON=..."; exit 1; }
	@$(1)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(1) >/dev/null 2>&1 \
		|| { $(PYTHON) -m venv --clear --without-pip $(1) && $(PYTHON) -m pip --python $(1)/bin/python install --quiet pip; }
	@echo "Installing into $(1) (the first time takes minutes, for torch is large)"
	@$(1)/bin/python -m pip install --disable-pip-version-check --quiet $(2)
	@touch $(1)/.ready
endef

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## a virtual environment in .venv with the package and the developer's tools

$(VENV)/.ready: pyproject.toml
	$(call environment,$(VENV),--editable ".[dev]")

$(DEMO_VENV)/.ready: pyproject.toml
	$(call environment,$(DEMO_VENV),--editable .)

demo: $(DEMO_VENV)/.ready ## train and measure three kinds of noise on real digits, and write a report
	$(DEMO_VENV)/bin/riemann-noise compare --data digits --holdout 197 --out $(DEMO_OUT) $(if $(wildcard $(DEMO_OUT)/compare.json),--resume)

test: check ## all that must pass: check, then the tests (wheel and sdist included)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

check: setup ## lint, format, types, contracts between the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-slow: setup ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

gpu-check: setup ## the tests that need a CUDA device
	@$(BIN)/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' \
		|| { echo "gpu-check: torch $$($(BIN)/python -c 'import torch; print(torch.__version__)') sees no CUDA device here, so nothing was tested"; exit 2; }
	$(BIN)/python -m pytest -m gpu

bench: setup ## the benchmarks, one after the other
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean: ## remove environments, caches and builds; runs are kept
	rm -rf $(VENV) $(DEMO_VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
