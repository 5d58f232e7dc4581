# The verbs of this repository. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The distribution's own where it can make environments, as in the operator's image; otherwise the first in the PATH.
SUITS := import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(or $(shell for one in /usr/bin/python3 python3; do $$one -c "$(SUITS)" 2>/dev/null && echo $$one && break; done),python3)
VENV := .venv
RUN := PYTHONPATH=operator $(VENV)/bin/python
PYTEST := $(VENV)/bin/python -m pytest
READY := $(VENV)/.ready
# Tests start hundreds of interpreters, and pytest rewrites every module of tests: what is compiled once is kept.
unexport PYTHONDONTWRITEBYTECODE
# What reaches pytest besides a verb's own arguments: make test ARGS='-k rollback'
ARGS ?=

help: ## List the verbs
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*## "} {printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}' | { [ -t 1 ] && cat || sed 's/\x1b\[[0-9;]*m//g'; }

demo: prepare ## Show the whole thing: a cluster, three model versions, a rollout and a rollback under traffic
	@$(RUN) -m e2e.demo

test: prepare ## Run every test: unit, property, integration on a real API server, end to end on a real cluster
	@# The tests have API servers of their own, whatever SERIN_CLUSTER is.
	@$(RUN) -m e2e.prepare --control-plane
	@$(PYTEST) --numprocesses=4 --dist=loadfile $(ARGS)

check: $(READY) ## Run everything that needs no cluster, in a minute
	@$(MAKE) --no-print-directory --jobs=2 lint contracts generated
	@# The types take one processor for a while, which the tests leave idle where they begin and end.
	@$(MAKE) --no-print-directory --jobs=2 types unit

unit: $(READY) ## Run the tests that start nothing
	@$(PYTEST) --numprocesses=auto --dist=worksteal -m 'not integration and not cluster' $(ARGS)

integration: $(READY) ## Run the tests against a real API server, started in seconds
	@$(RUN) -m e2e.prepare --control-plane
	@$(PYTEST) -m integration $(ARGS)

e2e: prepare ## Run the tests on a real cluster with nodes, KServe, a gateway and MLflow
	@$(PYTEST) -m cluster $(ARGS)

modelcheck: $(READY) ## Check every reachable state of a rollout, with crashes, lost answers, stale views and orders
	@$(RUN) -m tests.modelcheck $(ARGS)

mutants: $(READY) ## Make small mistakes in the core and see which no test notices; keeps the table in bench/
	@PYTHONPATH=operator nice $(VENV)/bin/python -m tests.mutants $(ARGS)

lint: $(READY) ## Check style and common mistakes
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check --quiet . || { echo 'run: make format'; exit 1; }

format: $(READY) ## Put the style right
	@$(VENV)/bin/ruff check --fix --quiet .
	@$(VENV)/bin/ruff format --quiet .

types: $(READY) ## Check the types, strictly
	@$(VENV)/bin/mypy

contracts: $(READY) ## Check that layers only look down and the core stays pure
	@PYTHONPATH=operator $(VENV)/bin/lint-imports --no-logo >/dev/null || PYTHONPATH=operator $(VENV)/bin/lint-imports --no-logo

generate: $(READY) ## Make crds/, the chart's copies, manifests/ and the reference anew from the code
	@$(RUN) -m serin.api.crd crds
	@$(RUN) -m serin.api.reference docs/reference
	@$(RUN) -m charts.generate

generated: generate ## Check that what is generated is up to date
	@git diff --exit-code --stat -- crds charts manifests docs || { echo 'generated files differ: commit what make generate made'; exit 1; }

bench: $(READY) ## Measure latency, writes and memory beside a bare client; keeps the table in bench/
	@$(RUN) -m bench $(ARGS)

rollouts: $(READY) ## Measure 200 rollouts at once, judged and not: lateness of steps and looks, writes; keeps the table in bench/
	@$(RUN) -m bench.rollouts $(ARGS)

judge: $(READY) ## Simulate the judge beside the field's others; keeps the table in bench/, fails where a promise is broken
	@PYTHONPATH=operator nice $(VENV)/bin/python -m bench.judge $(ARGS)

crashes: $(READY) ## Kill the operator at every write and put every fault in its way; keeps the table in bench/
	@PYTHONPATH=operator nice $(VENV)/bin/python -m tests.crashes $(ARGS)

up: prepare ## Bring up the local cluster with everything that Serin runs on, and Serin
	@$(RUN) -m e2e.up

prepare: $(READY) ## Build what the cluster and the tests are made of, once; the verbs that need it do it themselves
	@$(RUN) -m e2e.prepare

down: $(READY) ## Take the local cluster away, with everything it put on the machine
	@$(RUN) -m e2e.cluster down

# Images are Debian 12 on x86_64; everything else runs anywhere. What is locked already stays, so that the environments
# agree: `make lock ARGS=--upgrade` asks for what is new.
LOCK := $(VENV)/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 \
  --custom-compile-command 'make lock'

lock: $(READY) ## Resolve every requirements file anew, with hashes
	@for file in requirements/*.in; do $(LOCK) --universal $(ARGS) $$file -o $${file%.in}.txt; done
	@for file in images/*/requirements.in e2e/stack/images/*/requirements.in; do \
	  $(LOCK) --python-platform x86_64-manylinux_2_36 $(ARGS) $$file -o $${file%.in}.txt; \
	done

clean: ## Remove what the verbs made inside this folder
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist

# Most of the modules are never imported: Python compiles those that are.
PIP := $(VENV)/bin/pip install --quiet --disable-pip-version-check --no-compile --require-hashes

$(READY): requirements/dev.txt requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or newer is needed'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo 'the venv module is missing: apt-get install python3-venv'; exit 1; }
	@echo 'installing the development environment into $(VENV)'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --requirement requirements/uv.txt
	@# In a tenth of pip's time; but uv does not know what pip is told of an index or a certificate.
	@$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --require-hashes --requirement requirements/dev.txt \
	  || { echo 'uv cannot; pip does the same'; $(PIP) --requirement requirements/dev.txt; }
	@touch $@

.PHONY: help rollouts demo test check unit integration e2e modelcheck mutants lint format types contracts generate generated bench judge crashes prepare up down lock clean
