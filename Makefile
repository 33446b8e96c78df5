# make serve   install what is missing, start the server with cslm-mini (another: BUNDLE=cslm-small), print the address
# make test    install what is missing, run every test
# VARIANT=cpu|gpu|portable chooses the engine (default: what fits the machine), PYTHON=... the interpreter.

VENV ?= .venv
VARIANT ?= auto
PYTEST_ARGS ?=
SERVE_ARGS ?=
BUNDLE ?=
BIN := $(VENV)/bin
INSTALL = python=$$(PYTHON='$(PYTHON)' sh deploy/find-python.sh) && "$$python" deploy/install.py --venv '$(VENV)' --variant $(VARIANT)

.PHONY: help serve install test browser clients prometheus lint format types contracts audit check clean

help:
	@sed -n '1,3s/^# //p' $(firstword $(MAKEFILE_LIST))

install:
	@$(INSTALL)

# A bundle that cannot be fetched (exit status 69) is replaced by the one in the repository; any other error ends it.
ifneq ($(BUNDLE),)
serve: export CSLM_BUNDLE = $(BUNDLE)
PULL = $(BIN)/cslm pull || { [ $$? -eq 69 ] || exit 2; export CSLM_BUNDLE=cslm-mini; echo "$(REPLACED)" >&2; };
REPLACED = make serve: $(BUNDLE) cannot be fetched, so cslm-mini is served. With a copy of its files: cslm pull $(BUNDLE) --from PATH
endif
serve: install
	@$(PULL) exec $(BIN)/cslm serve $(SERVE_ARGS)

dev:
	@$(INSTALL) --with cluster dev train

# The tests of the page need a browser; as root it is installed, else they are skipped and say so.
browser:
	@sh deploy/find-browser.sh || true

# Alert rules and dashboards are tried on a real Prometheus; without it, those tests are skipped and say so.
prometheus:
	@sh deploy/find-prometheus.sh >/dev/null || true

# The stock clients of tests/conformance, in environments of their own; where they cannot be installed, those tests are
# skipped and say so, but fail in continuous integration.
clients: dev
	@$(BIN)/python deploy/install_clients.py || true

test: dev browser clients prometheus
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: dev
	$(BIN)/mypy

contracts: dev
	$(BIN)/lint-imports

# Known advisories of what is installed; skipped with a line that says so where no service can be asked.
audit:
	@python=$$(PYTHON='$(PYTHON)' sh deploy/find-python.sh) && "$$python" deploy/audit.py

check: lint types contracts audit test

clean:
	rm -rf $(VENV) build dist tests/conformance/javascript/node_modules *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
