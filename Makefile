# Everything a developer runs. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
# The tests start hundreds of processes, each of which would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
MEMBERS := crds bus operator archive api agent-image cli
LOCK = $(BIN)/uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 \
	--no-emit-package harebell-crds --no-emit-package harebell-bus

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 20

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
	$(LOCK) operator/pyproject.toml archive/pyproject.toml api/pyproject.toml -o requirements/control-plane.txt
	$(LOCK) --extra image agent-image/pyproject.toml -o requirements/agent.txt
	$(LOCK) --group pyproject.toml:bench -o requirements/bench.txt
	$(LOCK) --group pyproject.toml:supply-chain -o requirements/supply-chain.txt

# ---- checks ----------------------------------------------------------------------------------------------

.PHONY: generate
generate: venv ## write what is generated from the models: CRDs, AsyncAPI and OpenAPI documents, policies, list of metrics, schema of the chart's values
	@$(BIN)/python -m harebell_crds.generate crds charts/harebell/crds
	@$(BIN)/python -m harebell_bus.asyncapi docs
	@$(BIN)/python -m harebell_bus.policies docs
	@$(BIN)/python -m charts.values charts/harebell
	@$(BIN)/python -m harebell_api.generate docs
	@$(BIN)/python -m docs.reference docs

.PHONY: format
format: venv ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: verify
verify: venv ## regenerate, lint, types, import rules: fails on any difference
	@$(BIN)/python -m tests.verify

# ---- tests -----------------------------------------------------------------------------------------------

PYTEST := $(BIN)/python -m pytest
# Of pytest. Integration tests wait more than they compute; those that take a server away run alone.
# In the order of their names: pytest-xdist would leave files with few tests, which may be long ones, for last.
WORKERS ?= 2
INTEGRATION_WORKERS ?= 4
# Each installs a release of its own.
E2E_WORKERS ?= 3
BESIDE := --dist loadfile --no-loadscope-reorder

.PHONY: test
test: images ## everything, from whatever state the machine is in
	@# Those that take servers away mostly wait for them: what needs none runs meanwhile, and yields to them.
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target YIELDING="nice -n 19" integration-alone unit chart
	@$(MAKE) --no-print-directory integration-beside e2e

.PHONY: unit
unit: venv ## decisions, models, actions: no cluster needed
	$(YIELDING) $(PYTEST) tests/unit -n $(WORKERS)

.PHONY: properties
properties: venv ## many random interleavings of a Task's events; ARGS="--help" lists what can be chosen
	$(BIN)/python -m tests.unit.operator.simulation $(ARGS)

.PHONY: chart
chart: cluster ## the chart as rendered
	$(YIELDING) $(PYTEST) tests/chart -n $(WORKERS)

INTEGRATION_BESIDE := $(PYTEST) tests/integration -m "not chaos and not alone" -n $(INTEGRATION_WORKERS) $(BESIDE)
INTEGRATION_ALONE := $(PYTEST) tests/integration -m "alone and not chaos"

.PHONY: integration integration-beside integration-alone
integration: cluster ## each component against the real API server, RabbitMQ and PostgreSQL
	$(INTEGRATION_BESIDE)
	$(INTEGRATION_ALONE)

integration-beside: cluster
	$(INTEGRATION_BESIDE)

integration-alone: cluster
	$(INTEGRATION_ALONE)

.PHONY: e2e
e2e: images ## the installed chart: real pods, helm, ingress
	$(PYTEST) tests/e2e -m "not alone" -n $(E2E_WORKERS) $(BESIDE)
	$(PYTEST) tests/e2e -m alone

.PHONY: bench
bench: cluster ## Tasks from created to done, compared with Jobs, bare writes and Celery; ARGS="--help"
	$(BIN)/python -m tests.bench.lifecycle $(ARGS)

.PHONY: bench-topology
bench-topology: cluster ## compare ways to serve priorities; ARGS="--help" lists what can be chosen
	$(BIN)/python -m tests.bench.topology $(ARGS)

.PHONY: bench-feed
bench-feed: venv ## CPU time and memory that the live feed takes, by clients and changes; ARGS="--help"
	$(BIN)/python -m tests.bench.feed $(ARGS)

.PHONY: chaos
chaos: cluster ## longer faults: each node of the broker lost in turn, a broker that grows
	$(PYTEST) tests/integration -m chaos

.PHONY: fuzz
fuzz: cluster ## requests made up from the OpenAPI document; HAREBELL_FUZZ_CASES=200 for each operation, HAREBELL_FUZZ_SEED=1
	HAREBELL_FUZZ_CASES=$${HAREBELL_FUZZ_CASES:-200} $(PYTEST) tests/integration/api/test_fuzz.py

.PHONY: demo
demo: venv ## from nothing to Tasks done and shown
	@$(BIN)/python -m tests.demo

# ---- what the images are made of ---------------------------------------------------------------------------

.PHONY: sbom
sbom: venv ## a CycloneDX document of each image, into .build/sbom
	@$(BIN)/python -m tests.supply sbom

.PHONY: audit
audit: venv ## known vulnerabilities of what the lock files name; 1: some, 3: the service could not be asked
	@$(BIN)/python -m tests.supply audit

# ---- the local cluster -----------------------------------------------------------------------------------

CLUSTER := $(BIN)/python -m tests.cluster

.PHONY: images
images: cluster ## build the product's images and load them into the cluster
	@$(CLUSTER) images

.PHONY: cluster cluster-down cluster-status cluster-env kubeconfig api-url api-key
cluster: venv ## a local Kubernetes cluster, built from packages where no image registry is reachable
	@$(CLUSTER) up

cluster-down: venv ## remove it; the cache stays
	@$(CLUSTER) down

cluster-status: venv ## what is running
	@$(CLUSTER) status

cluster-env: venv ## print export lines: what a shell needs for its kubectl and helm
	@$(CLUSTER) env

kubeconfig: venv ## print the path of the cluster's kubeconfig
	@$(CLUSTER) kubeconfig

api-url: venv ## print the address of the ingress
	@$(CLUSTER) ingress-url

api-key: venv ## print the API key of the demonstration's release
	@$(BIN)/python -m tests.demo.key
