# Everything a person or a machine does with this project. Each step runs only when what it is
# made from has changed; the stamps (`.ready`) stand inside the folders that they speak of.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first Python on the path that is new enough; `make run PYTHON=/opt/python3.13/bin/python3`
# says otherwise.
PYTHON ?= $(firstword $(foreach python,python3 python3.11 python3.12 python3.13 python3.14,$(shell \
	$(python) -c 'import sys; sys.version_info >= (3, 11) and print("$(python)")' 2>/dev/null)))
BIN := .venv/bin
FRONTEND := $(shell find frontend -name node_modules -prune -o -name dist -prune -o -type f -print)

.PHONY: help run dev dev-api dev-frontend test test-cluster lint format bench bench-cluster clean setup setup-dev

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## Set up everything and serve the platform on this machine
	@exec $(BIN)/python -m api serve

dev: setup-dev ## The same, reloading the backend and the editor when their sources change
	@$(MAKE) --no-print-directory -j2 dev-api dev-frontend

dev-api:
	@exec $(BIN)/watchfiles --sigint-timeout 15 'setsid $(BIN)/python -m api serve' api templates

dev-frontend:
	@exec npm --prefix frontend run dev

test: setup-dev lint ## Run every check that needs no cluster
	$(BIN)/pytest
	npm --prefix frontend run check

# With KUBECONFIG, on that cluster; without, as root, on a throwaway one. KEEP=1 leaves it up.
export KEEP
# Some of them only: make test-cluster CLUSTER_TESTS=tests/cluster/test_deploys.py
CLUSTER_TESTS ?= tests/cluster tests/observing/test_contract.py
test-cluster: setup-dev ## Run the tests on a real control plane (see tests/cluster/README.md)
	$(if $(KUBECONFIG),,$(BIN)/python -m tests.cluster.plane prepare)
	$(BIN)/pytest $(CLUSTER_TESTS)

lint: setup-dev ## Check format, style, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: setup-dev ## Put the sources into the one format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	npm --prefix frontend run format

# The ones that take minutes at most; the rest by name: make bench BENCH="history writer source_check_fuzz"
BENCH ?= deploy runner source_check cleanup check
bench: setup-dev ## Print the benchmark tables; fails if a limit is broken
	@status=0; for bench in $(BENCH); do \
		echo; echo "# $$bench"; $(BIN)/python -m "bench.$$bench" || status=1; done; exit $$status

# Half an hour on two quiet cores. Parts, or few of everything: BENCH_CLUSTER="--only peer --small"
bench-cluster: setup-dev ## Time deploys on a real control plane, which it starts; fails if a limit is broken
	$(BIN)/python -m tests.cluster.plane prepare
	$(BIN)/python -m bench.cluster $(BENCH_CLUSTER)

clean: ## Remove what the targets above made; keeps .platform, the data
	rm -rf .venv runner/.venv frontend/node_modules frontend/dist test-results
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# Setting up ---------------------------------------------------------------------------------

setup: .venv/.api-ready runner/.venv/.ready frontend/dist/.ready

# One environment serves both: what development needs comes on top of what runs.
setup-dev: .venv/.dev-ready setup

# Makes the virtual environment $(1) unless there is a whole one.
define virtual-environment
@test -x $(1)/bin/pip || test -n "$(PYTHON)" \
	|| { echo "Python 3.11 or newer is needed; name one: make PYTHON=…" >&2; exit 1; }
@test -x $(1)/bin/pip || $(PYTHON) -m venv --clear $(1)
@echo "Installing $(2) into $(1) …"
@$(1)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $(2)
endef

.venv/.api-ready: requirements/api.txt
	$(call virtual-environment,.venv,requirements/api.txt)
	@touch $@

.venv/.dev-ready: requirements/dev.txt
	$(call virtual-environment,.venv,requirements/dev.txt)
	@touch $@ .venv/.api-ready

runner/.venv/.ready: runner/requirements.txt
	$(call virtual-environment,runner/.venv,runner/requirements.txt)
	@touch $@

frontend/node_modules/.ready: frontend/package-lock.json
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' \
		2>/dev/null || { echo "Node 20.19 or newer is needed." >&2; exit 1; }
	@echo "Installing the editor's packages …"
	@npm --prefix frontend ci --include=dev --no-audit --no-fund --loglevel=error
	@touch $@

frontend/dist/.ready: frontend/node_modules/.ready $(FRONTEND)
	@echo "Building the editor …"
	@npm --prefix frontend run build --silent -- --logLevel warn
	@touch $@
