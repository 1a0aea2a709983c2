# Everything a developer runs. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
MEMBERS := crds bus operator api agent-image
LOCK = $(BIN)/uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 \
	--no-emit-package harebell-crds --no-emit-package harebell-bus

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 20

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q uv==$(UV_VERSION)

$(VENV)/.ready: requirements/dev.txt pyproject.toml $(MEMBERS:%=%/pyproject.toml) | $(BIN)/uv
	$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation $(MEMBERS:%=-e ./%)
	@touch $@

.PHONY: venv
venv: $(VENV)/.ready ## the development environment, from the lock file

.PHONY: lock
lock: | $(BIN)/uv ## write requirements/*.txt anew
	$(LOCK) --group pyproject.toml:dev --extra generate $(MEMBERS:%=%/pyproject.toml) -o requirements/dev.txt
	$(LOCK) operator/pyproject.toml api/pyproject.toml -o requirements/control-plane.txt
	$(LOCK) agent-image/pyproject.toml -o requirements/agent.txt

.PHONY: generate
generate: venv ## write the CRDs from the models
	$(BIN)/python -m harebell_crds.generate crds charts/harebell/crds

.PHONY: format
format: venv ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
