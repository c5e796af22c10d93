# The front door: every target is one script or one command.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export SOUK_PYTHON ?= $(CURDIR)/.venv/bin/python
STACK := PYTHONPATH=deploy/local PYTHONDONTWRITEBYTECODE=1 $(SOUK_PYTHON) -m stack
JOBS ?= $(shell nproc)

.PHONY: help up down status logs test test-all test-fresh lint format docs fuzz chaos bench-path bench-orders clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

up: ## install what is missing, build, start everything, seed the catalogue, print the URLs
	@deploy/local/install up
	@$(STACK) up

down: ## stop what `make up` started
	@$(STACK) down

status: ## one line for each process: pid, uptime, health
	@$(STACK) status

logs: ## follow the logs; NAME=gateway chooses
	@$(STACK) logs $(NAME)

test: ## build and test everything that must pass before a change lands
	@deploy/local/install up test
	@.ci/test

test-all: ## make test, then the slow rest: every sanitizer on everything, long fuzzing
	@deploy/local/install up test
	@.ci/test all

test-fresh: ## the README's commands in a new Debian chroot (needs root)
	@deploy/local/install fresh
	@.ci/fresh

lint: ## layout, static analysis, shell and Python checks; CHECK=tidy chooses
	@deploy/local/install up test
	@.ci/lint $(CHECK)

format: ## lay out the C and Python sources
	@git ls-files -- '*.c' '*.h' | xargs -r clang-format -i
	@$(SOUK_PYTHON) -m ruff format --quiet .

docs: ## rewrite what is generated from schemas/ and committed: OpenAPI, references, lock
	@PYTHONPATH=schemas PYTHONDONTWRITEBYTECODE=1 $(SOUK_PYTHON) -m gen docs

fuzz: ## fuzz for long; SECONDS_EACH=600 a target, TARGET=fuzz_http1 chooses
	@deploy/local/install up test
	@.ci/fuzz

chaos: ## kill every process at random under load, for long; CHAOS_ROUNDS=20, CHAOS_SEED=1
	@deploy/local/install up test
	@CHAOS_ROUNDS=$${CHAOS_ROUNDS:-20} .ci/test chaos

bench-path: ## requests per second of the whole path, as a ratio to nginx
	@deploy/local/install up bench
	@[ -f build/release/build.ninja ] || cmake --preset release >/dev/null
	@ninja -C build/release --quiet
	@PYTHONDONTWRITEBYTECODE=1 $(SOUK_PYTHON) bench/path.py

bench-orders: ## orders per second through HTTP, as a ratio to pgbench
	@deploy/local/install up bench
	@[ -f build/release/build.ninja ] || cmake --preset release >/dev/null
	@ninja -C build/release --quiet
	@PYTHONDONTWRITEBYTECODE=1 $(SOUK_PYTHON) bench/orders.py

clean: ## stop everything, then remove builds and local data
	@if [ -x $(SOUK_PYTHON) ]; then $(STACK) clean; fi
	@rm -rf build
