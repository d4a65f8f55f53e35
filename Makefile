# `make demo` runs the main job, `make test` the tests. Both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CLIENT8 := .venvs/hybridcompute-8
# Any Debian 12; debian:bookworm-slim where a registry is reachable.
BASE_IMAGE ?= arcbed/base:debian12
SHELL := /bin/bash

.DEFAULT_GOAL := help
.PHONY: help demo demo-picture test test-long test-cpu test-cgroup2 lint format docs bench packages engine base-image images test-containers test-containers-long up clean

help: ## Show the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-21s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# uv where it exists, else venv and pip. Both read pyproject.toml.
$(STAMP): pyproject.toml
	@echo "Setting up $(VENV) (once; about a minute) ..."
	@if command -v uv >/dev/null 2>&1; then \
	  { [ -x $(BIN)/python ] || uv venv -q --python $(PYTHON) $(VENV); } && \
	  uv pip install -q --python $(BIN)/python -e '.[all]' --group dev; \
	else \
	  { [ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) || \
	    { echo "python3-venv is missing: apt-get install python3-venv"; exit 1; }; } && \
	  $(BIN)/python -m pip install -q --upgrade 'pip>=25.1' && \
	  $(BIN)/python -m pip install -q -e '.[all]' --group dev; \
	fi
	@touch $@

# An older SDK that cannot live beside the current one.
$(CLIENT8)/.installed: pyproject.toml
	@mkdir -p .venvs
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv -q --clear --python $(PYTHON) $(CLIENT8) && \
	  uv pip install -q --python $(CLIENT8)/bin/python 'azure-mgmt-hybridcompute>=8,<9' azure-identity; \
	else \
	  $(PYTHON) -m venv --clear $(CLIENT8) && \
	  $(CLIENT8)/bin/python -m pip install -q 'azure-mgmt-hybridcompute>=8,<9' azure-identity; \
	fi
	@touch $@

demo: $(STAMP) ## Start the control plane, onboard a machine, use its identity, remove it
	@$(BIN)/arcbed demo --report reports/demo

demo-picture: $(STAMP) ## Record docs/demo.svg from a real demo run
	@$(BIN)/arcbed demo --report reports/demo --export-svg docs/demo.svg

test: $(STAMP) lint ## Lint, types and all quick tests
	@$(BIN)/python -m pytest -m 'not long and not containers'

test-long: $(STAMP) $(CLIENT8)/.installed test-containers ## The slow tests: containers, kill -9, fuzzing, long stories
	@$(BIN)/python -m pytest -m 'long and not containers and not alone' --durations=15

test-cpu: $(STAMP) ## The tests that measure CPU limits; on a machine that does nothing else
	@$(BIN)/python -m pytest -m 'alone and not containers'

test-cgroup2: $(STAMP) ## cgroup v2 on a kernel of its own, User-Mode Linux; on a machine that does nothing else
	@command -v linux.uml >/dev/null 2>&1 || { \
	  echo "linux.uml is missing. On Debian: apt-get install user-mode-linux. 'make test' needs none, and tries" \
	    "cgroup v2 on a tree of files."; exit 1; }
	@$(BIN)/python -m pytest tests/uml

lint: $(STAMP) ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(STAMP) ## Format and fix what can be fixed
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(STAMP) ## Write the generated pages of docs/reference
	@cd tools && ../$(BIN)/python -m arcbed_docs

bench: $(STAMP) ## Benchmarks beside a bare ASGI app and a plain FastAPI route (needs wrk)
	@$(BIN)/python tests/benchmarks/run.py

test-containers: $(STAMP) engine images ## The tests that need a Docker engine
	@$(BIN)/python -m pytest -m 'containers and not long'

test-containers-long: $(STAMP) engine images ## The long stories on containers, with real cuts: half an hour and more each
	@$(BIN)/python -m pytest -m 'containers and long'

engine:
	@docker info >/dev/null 2>&1 || { \
	  echo "No Docker engine answers. Start one (on Debian: apt-get install docker.io docker-compose debootstrap" \
	    "iptables), or run 'make test', which needs none."; exit 1; }

base-image: engine ## Make the base image with debootstrap, unless it is there (needs root and an engine)
	@docker image inspect $(BASE_IMAGE) >/dev/null 2>&1 || containers/base/build.sh $(BASE_IMAGE)

images: $(STAMP) base-image ## Build the images: fakecloud, machine, agent, proxy
	@BASE_IMAGE=$(BASE_IMAGE) PYTHON=$(BIN)/python containers/build.sh

packages: $(STAMP) ## Build the agent's .deb, and .rpm where rpmbuild is, into dist/ (AGENT_VERSION=1.68.0.0: another version)
	@$(BIN)/python agent/packaging/build.py $(if $(AGENT_VERSION),--version $(AGENT_VERSION))

up: $(STAMP) ## Start a control plane in the background and say how to use it (PORT=9443: on another port)
	@$(BIN)/arcbed start $(if $(PORT),--port $(PORT))

clean: ## Remove what make made
	@rm -rf $(VENV) .venvs reports .mypy_cache .ruff_cache .pytest_cache
