# make run    the complete mail server with an example domain, on loopback ports
# make test   everything: lint, types, unit, property and end-to-end tests with the real programs
# make image  the mail server as a container image, by docker or podman
# make install  mailhooks as a service, for the Postfix and Dovecot of this machine
# make bench  the benchmarks, with their yardsticks beside them
# make unit   the tests that start no stock daemon

SHELL := /bin/bash

# The distribution's Python first: `mailhooks up` runs the daemon as another user, who must be able to read it.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)

# The environment lies in the checkout, or, where other users cannot read the checkout, in a place where they can.
VENV ?= $(shell scripts/environment-path)
BIN := $(VENV)/bin

.PHONY: run install test bench unit unit13 lint packages debian13 container image docs clean

packages:
	scripts/install-debian

# Not editable: the daemon's user needs to read the package, not the checkout.
$(VENV)/installed: setup.cfg constraints.txt $(shell find mailhooks -type f -not -name '*.pyc')
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	rm -rf build # setuptools would put modules that are gone into the wheel
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt '.[test,lint,docs]'
	rm -rf build
	touch $@

lint: packages $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint docker/Dockerfile
	shellcheck scripts/*

unit: packages $(VENV)/installed
	$(BIN)/python -P -m pytest -m 'not e2e' -n auto --dist loadfile

# The other generation of the stock daemons, for the end-to-end scenarios.
DEBIAN13 ?= /var/cache/mailhooks-debian13
export MAILHOOKS_DEBIAN13 := $(DEBIAN13)

debian13: packages $(VENV)/installed
	scripts/debian13-root $(DEBIAN13) $(BIN)/python

# The image, as the tests need it where there is no container registry; `make image` is everybody else's.
export MAILHOOKS_IMAGE ?= localhost/mailhooks-test

container: packages
	scripts/container-image $(MAILHOOKS_IMAGE)

# DEBIAN=bookworm builds the other generation. Podman leaves HEALTHCHECK out of images in its own format.
image: export BUILDAH_FORMAT := docker
IMAGE ?= mailhooks
DEBIAN ?= trixie

image:
	$(or $(shell command -v docker || command -v podman),$(error there is neither docker nor podman)) build \
		--build-arg DEBIAN=$(DEBIAN) \
		--build-arg VERSION=$(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' mailhooks/__init__.py) \
		--build-arg REVISION=$(shell git rev-parse HEAD) \
		--tag $(IMAGE) --file docker/Dockerfile .

# The tests of what is plain Python, with the Python of the other generation.
unit13: debian13
	scripts/debian13-unit $(DEBIAN13) $(BIN)/python

# A file stays on one worker, since its scenarios share a server; the order of the workers is no matter.
test: lint debian13 unit13 container
	$(BIN)/python -P -m pytest -n auto --dist loadfile

# What is made from the code, and all pages as HTML in docs/_build.
docs: $(VENV)/installed
	$(BIN)/python docs/generate.py
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build

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

# docs/bare-metal.rst goes through what comes before and after it.
install:
	scripts/install-service

clean:
	rm -rf .venv build dist docs/_build *.egg-info .mypy_cache .ruff_cache .pytest_cache
