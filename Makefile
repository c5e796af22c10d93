# The front door. Every target is one script or one command; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export SOUK_PYTHON ?= $(CURDIR)/.venv/bin/python
JOBS ?= $(shell nproc)
.PHONY: help test format clean install-test build-dev

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

test: build-dev ## build and run all tests (about ten minutes)
	@ctest --test-dir build/dev --output-on-failure -j $(JOBS)

format: ## lay out the C sources with clang-format
	@git ls-files -- '*.c' '*.h' | xargs -r clang-format -i

clean: ## remove what the build made
	@rm -rf build

install-test:
	@deploy/local/install up test

build-dev: install-test
	@cmake --preset dev
	@ninja -C build/dev
