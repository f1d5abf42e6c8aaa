# Each target is enough by itself on a machine with Python 3.11 or newer and make: it builds .venv when it has to.

VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
NAME ?= reader
FOLD ?= 0
PROCESSES ?= 2
DATA ?= $(HEMOSCOPE_DATA)

# The first that is new enough; `make PYTHON=/path/to/python` chooses another.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt

# The bundle of the viewer is its own stamp: where it is newer than its sources, neither Node nor a network is needed.
VIEWER := static/viewer/main.js
NPM := PATH="$(abspath $(BIN)):$$PATH" npm --prefix viewer

.PHONY: help serve test lint format train bench lock clean
.DEFAULT_GOAL := help

help:  ## say what there is
	@sed -n 's/^\([a-z]*\):.*## /\1: /p' $(MAKEFILE_LIST) | awk -F ': ' '{printf "make %-8s %s\n", $$1, $$2}'

serve: $(VENV)/.serve $(VIEWER)  ## serve the pages on http://127.0.0.1:8000 (PORT=...)
	$(BIN)/hemoscope serve --port $(PORT)

test: $(VENV)/.all $(VIEWER)  ## run all tests; HEMOSCOPE_DATA=folder adds those that need real data (TESTS=tests/test_cli.py)
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder $(TESTS)

lint: $(VENV)/.all  ## check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.all  ## format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

train: $(VENV)/.all  ## train a network (NAME=reader DATA=folder FOLD=0, and RESUME=1 to go on with one)
	@test -n "$(DATA)" || { echo "make train needs DATA=folder or HEMOSCOPE_DATA: where the data sets lie." >&2; exit 2; }
	$(BIN)/python -m training.train $(NAME) --data "$(DATA)" --fold $(FOLD) $(if $(RESUME),--resume)

bench: $(VENV)/.serve  ## measure latency, memory and start, beside TensorFlow where that is installed; and a whole study
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.study

lock: $(VENV)/.serve  ## choose versions anew for constraints.txt, for all platforms
	$(BIN)/python -m pip install --disable-pip-version-check uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade --no-annotate \
		--custom-compile-command "make lock" --output-file constraints.txt

clean:  ## remove the environment and what tools leave behind
	rm -rf static/viewer viewer/node_modules $(VENV) build dist *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Hemoscope needs Python 3.11 or newer; none was found." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: sudo apt-get install python3-venv" >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)

# A stamp says what was installed; it is older than a changed list of dependencies, and then it is made again.
$(VENV)/.serve: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[serve]'
	@touch $@

$(VENV)/.all: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[serve,train,dev]'
	@touch $@ $(VENV)/.serve

# Node of 20 or newer comes as a wheel where the machine has none. Without a bundle everything else works.
$(VIEWER): viewer/package-lock.json viewer/build.mjs $(wildcard viewer/src/*.js) | $(BIN)/python
	@{ node -e "process.exit(parseInt(process.versions.node) < 20)" 2>/dev/null && npm --version >/dev/null 2>&1 || \
		test -x $(BIN)/npm || { echo "No Node: it is installed into $(VENV)." && $(INSTALL) --editable '.[viewer]'; }; } \
	&& { test viewer/node_modules/.package-lock.json -nt viewer/package-lock.json || $(NPM) ci; } \
	&& $(NPM) run --silent build \
	|| echo "The viewer could not be built; is npm's registry within reach? Studies show as plain pictures." >&2
