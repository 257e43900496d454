# make demo    set up, then train and draw what a laptop reproduces in minutes
# make test    set up, then run every test
# make lint    formatters, linters, types, import contracts, schema
# make image   build the container image (VARIANT=cpu or cuda) and compare it with its pin; make image-pin renews the pin
# make test-containers    the same runs on this machine, in podman and in Apptainer
# make test-slurm    the workflow on a real Slurm cluster of this machine, and all that goes wrong on one
# make peer    install what `relatent bench --peer` times beside this project's SAC
# make report  one HTML page with every figure that was drawn here
# make lock    choose package versions anew, with their hashes

ifndef PYTHON
PYTHON := $(shell command -v python3.11 || command -v python3)
endif
TORCH  ?= torch==2.13.0
VARIANT ?= cpu
BIN    := .venv/bin

# One thread a process: parallelism is processes. The rules of the workflow call `python` and `relatent`.
export OMP_NUM_THREADS := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
SHELL := /bin/bash

.PHONY: demo test setup lint report lock clean image image-pin test-containers test-slurm peer
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

image: setup
	@containers/build.sh $(VARIANT)

image-pin: setup
	@RENEW=1 containers/build.sh $(VARIANT)

test-containers: setup
	@python -m pytest tests/containers

# More workers than cores: most of them wait for Slurm.
test-slurm: setup
	@if tests/slurm/install.sh; then python -m pytest tests/slurm -n 6 --dist worksteal -rs; fi

peer: setup
	@python -m pip install --quiet --quiet --no-deps --require-hashes -r containers/peer.lock

lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet pip-tools uv
	build/lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --upgrade --no-header \
	  --no-emit-index-url --no-emit-find-links --output-file containers/requirements.lock containers/requirements.in
	$(call lock_torch,cpu,$(TORCH)+cpu)
	$(call lock_torch,cuda,$(TORCH))

# PyTorch of the images, with what it needs at the versions of requirements.lock. Its +cpu build is in no default index.
lock_torch = echo "$(2)" | build/lock/bin/uv pip compile --quiet --generate-hashes --no-header --no-annotate \
  --python-version 3.11 --python-platform x86_64-manylinux_2_28 --constraints containers/requirements.lock \
  $(if $(filter cpu,$(1)),$(addprefix --find-links ,$(PIP_FIND_LINKS)) $(addprefix --index ,$(TORCH_INDEX))) \
  --no-emit-find-links --no-emit-index-url --output-file containers/torch-$(1).lock -

# Runs stay: they cost hours. `rm -r runs` removes them.
clean:
	rm -rf results logs report.html build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
