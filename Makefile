# make run    the complete mail server with an example domain, on loopback ports
# make test   everything: lint, types, unit, property and end-to-end tests with the real programs
# make bench  the benchmarks, with their yardsticks beside them
# make unit   the tests that start no stock daemon

SHELL := /bin/bash

# The distribution's Python first: `mailhooks up` runs the daemon as another user, who must be able to read it.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)

# The environment lies in the checkout, or, where other users cannot read the checkout, in a place where they can.
VENV ?= $(shell scripts/environment-path)
BIN := $(VENV)/bin

.PHONY: run test bench unit lint packages debian13 docs clean

packages:
	scripts/install-debian

# Not editable: the daemon's user needs to read the package, not the checkout.
$(VENV)/installed: setup.cfg constraints.txt $(shell find mailhooks -type f -not -name '*.pyc')
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	rm -rf build # setuptools would put modules that are gone into the wheel
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt '.[test,lint]'
	rm -rf build
	touch $@

lint: packages $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint docker/Dockerfile
	shellcheck scripts/*

unit: packages $(VENV)/installed
	$(BIN)/python -m pytest -m 'not e2e' -n auto --dist loadfile

# The other generation of the stock daemons, for the end-to-end scenarios.
DEBIAN13 ?= /var/cache/mailhooks-debian13
export MAILHOOKS_DEBIAN13 := $(DEBIAN13)

debian13: packages $(VENV)/installed
	scripts/debian13-root $(DEBIAN13) $(BIN)/python

# A file stays on one worker, since its scenarios share a server; the order of the workers is no matter.
test: lint debian13
	$(BIN)/python -m pytest -n auto --dist loadfile

# The pages of the reference that are made from the code.
docs: $(VENV)/installed
	$(BIN)/python docs/generate.py

bench: packages $(VENV)/installed
	$(BIN)/python -m benchmarks

# make run ARGS=--once checks each step and ends.
ifeq ($(shell id -u),0)
run:
	scripts/install-debian run
	$(MAKE) --no-print-directory $(VENV)/installed
	exec $(BIN)/python -P -m mailhooks.stack.demo $(ARGS)
else
run:
	@echo "make run needs root: Postfix and Dovecot change users, and missing packages are installed. Asking sudo."
	exec sudo $(MAKE) --no-print-directory run ARGS="$(ARGS)"
endif

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
