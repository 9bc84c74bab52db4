# Every target does its own set-up. A fresh machine needs Python 3.11 or later with venv, make, and g++.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint types format clean

ifndef PYTHON
PYTHON := $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
endif
BIN := .venv/bin
INSTALLED := .venv/installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints/cpu.txt
# One thread per test process: as many processes as cores run at once.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto $(PYTEST_ARGS)

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##/  make \1 \t/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(INSTALLED)  ## train, export, fly in MuJoCo, leave a video and a report (PYTHON=... chooses the interpreter)
	$(BIN)/corvids demo

test: lint types  ## lint, types and tests (PYTEST_ARGS=... is handed to pytest)
	$(PYTEST)

test-slow: $(INSTALLED)  ## the tests that take minutes
	$(PYTEST) -m slow

lint: $(INSTALLED)  ## ruff
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(INSTALLED)  ## pyright
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(INSTALLED)  ## let ruff rewrite the sources
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

setup: $(INSTALLED)  ## only the environment, in .venv

$(INSTALLED): pyproject.toml constraints/cpu.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later with venv not found: install it (Debian: apt-get install" \
		"python3-venv) or name it with make PYTHON=..." >&2; exit 1; }
	@command -v g++ >/dev/null || echo "warning: no g++, so the simulator will not compile and runs several times slower" >&2
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) setuptools
	$(PIP) --no-build-isolation --editable '.[train,sim,calibrate,dev]'
	@touch $@

clean:  ## remove the environment and what tools left behind
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build src/corvids.egg-info
