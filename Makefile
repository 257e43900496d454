# make demo    set up, then train and draw what a laptop reproduces in minutes
# make test    set up, then run every test
# make lint    formatters, linters, types, import contracts, schema
# make report  one HTML page with every figure that was drawn here
# make lock    choose package versions anew, with their hashes

ifndef PYTHON
PYTHON := $(shell command -v python3.11 || command -v python3)
endif
TORCH  ?= torch==2.13.0
BIN    := .venv/bin

# One thread a process: parallelism is processes. The rules of the workflow call `python` and `relatent`.
export OMP_NUM_THREADS := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
SHELL := /bin/bash

.PHONY: demo test setup lint report lock clean
.DEFAULT_GOAL := demo

demo: setup
	@relatent demo

test: setup
	@python -m pytest -n 2

setup: .venv/ready

# PyTorch first: its build for this machine is the installer's choice, everything else is locked by hash. Debian has
# venv without its own pip unless python3-venv is installed; the system's pip then fills it.
.venv/ready: containers/requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
	  echo "error: $(PYTHON) is not Python 3.11, for which the packages are locked; try: make PYTHON=python3.11"; exit 1; }
	@echo "setting up .venv (once)"
	@$(PYTHON) -m venv .venv >/dev/null 2>&1 || { $(PYTHON) -m venv --clear --without-pip .venv \
	  && $(PYTHON) -m pip --python .venv/bin/python install --quiet --quiet pip; }
	@python -m pip install --quiet --quiet "$(TORCH)"
	@python -m pip install --quiet --quiet --require-hashes -r containers/requirements.lock
	@python -m pip install --quiet --quiet --no-deps --no-build-isolation --editable .
	@touch $@

lint: setup
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint
	mypy
	lint-imports

report: setup
	@test -n "$(wildcard paper_figures/*/*.pdf)" || { echo "error: no figure drawn yet; try: make demo"; exit 1; }
	@snakemake --report report.html -- $(wildcard paper_figures/*/*.pdf)
	@echo "report.html"

lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet pip-tools
	build/lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --upgrade --no-header \
	  --no-emit-index-url --no-emit-find-links --output-file containers/requirements.lock containers/requirements.in

# Runs stay: they cost hours. `rm -r runs` removes them.
clean:
	rm -rf results logs report.html build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
