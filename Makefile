# Every target fills .venv by itself: nothing but Python 3.11, make and apt is needed beforehand.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

HOST ?= 127.0.0.1
PORT ?= 8000
PYTEST_ARGS ?=
MODEL_STEPS ?= 200000

BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt
CHECKED := inventory_api migrations tests benchmarks
# What tests drive. Playwright brings a Node that links libatomic, which a bare Debian lacks.
TESTS_NEED := chromium curl libatomic1 openssl strace wrk

.PHONY: help run test test-slow model coverage check format bench bench-postgres

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

run: .venv/ready-to-run  ## install and serve the demo on http://127.0.0.1:8000
	exec $(BIN)/inventory-api serve --demo --host $(HOST) --port $(PORT)

test: .venv/ready-to-test  ## the fast tests, on every core, warnings as errors
	@.ci/need $(TESTS_NEED)
	$(BIN)/python -m pytest -n auto -m "not slow" $(PYTEST_ARGS)

test-slow: .venv/ready-to-test  ## the long batteries
	@.ci/need $(TESTS_NEED)
	$(BIN)/python -m pytest -m slow -o faulthandler_timeout=280 $(PYTEST_ARGS)

model: .venv/ready-to-test  ## the model of reservations at length: MODEL_STEPS=200000, and what it reached
	MODEL_STEPS=$(MODEL_STEPS) $(BIN)/python -m pytest tests/model/test_carts.py -k many_carts -o faulthandler_timeout=0 $(PYTEST_ARGS)

coverage: .venv/ready-to-test  ## the fast tests with the coverage bar
	@.ci/need $(TESTS_NEED)
	$(BIN)/python -m pytest -n auto -m "not slow" --cov --cov-report=term $(PYTEST_ARGS)

check: .venv/ready-to-test  ## format, lint, types and layers
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/ready-to-test  ## rewrite the code in the project's format
	$(BIN)/ruff check --fix-only $(CHECKED)
	$(BIN)/ruff format $(CHECKED)

bench: .venv/ready-to-test  ## measure speed against reference servers on this machine
	@.ci/need wrk
	$(BIN)/python -m benchmarks.bench $(BENCH_ARGS)

bench-postgres: .venv/ready-to-test  ## the same on PostgreSQL, with two processes, lanes and the ledger's head
	@.ci/need wrk
	$(BIN)/python -m benchmarks.postgres.bench $(BENCH_ARGS)

# The stamps are files inside .venv, so that removing the folder removes them too.
.venv/ready-to-run: pyproject.toml constraints.txt .ci/venv
	@.ci/venv
	@echo "Installing inventory_api into .venv"
	$(PIP_INSTALL) -e .
	@touch $@

.venv/ready-to-test: pyproject.toml constraints.txt .ci/venv
	@.ci/venv
	@echo "Installing inventory_api and its test tools into .venv"
	$(PIP_INSTALL) -e '.[test]'
	@touch .venv/ready-to-run $@
