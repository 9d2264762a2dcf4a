# Needs make and Python 3.11 or newer; everything else is installed into .venv from hashed locks.
# PYTHON=/path/to/python3.12 chooses the interpreter, ARGS="..." is passed on to the command.

VENV := .venv
PY := $(VENV)/bin/python
PYTHONS := python3 python3.14 python3.13 python3.12 python3.11
SUPPORTED := import sys; sys.exit(sys.version_info < (3, 11))
# Of an environment that is complete: without its stamp pip is tried whole, which takes a while.
USABLE := import os, pip, sys; sys.exit(sys.version_info < (3, 11) or not os.path.exists("$(VENV)/.installed"))
PIP := $(PY) -m pip --disable-pip-version-check --no-input -q
# Tests that start nothing share nothing: they run on all cores. The others have the machine alone.
FAST := -m 'not servers' --numprocesses logical --maxprocesses 8 --dist worksteal
COMPILE := --universal --python-version 3.11 --generate-hashes --no-header

.DEFAULT_GOAL := help
.PHONY: help run test test-fast check docs reference bench bench-handoff bench-providers bench-overload demo loadtest torture lock clean venv runtime develop

help: ## list these targets
	@echo 'Tidegate. Targets:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

run: runtime ## start everything on this machine; Ctrl-C stops it
	@TIDEGATE_TIED_TO_PARENT=1 exec $(VENV)/bin/tidegate up $(ARGS)

test: develop ## run the tests, with servers of their own; with ARGS in one run of pytest
	@$(if $(ARGS),$(PY) -m pytest $(ARGS),$(PY) -m pytest $(FAST) && $(PY) -m pytest -m servers)

test-fast: develop ## run the tests that start no server, on all cores
	@$(PY) -m pytest $(FAST) $(ARGS)

check: develop ## ruff, mypy --strict and the import contracts
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

docs: develop ## build the guides as a site in build/docs; ARGS=--linkcheck asks outside links
	@$(PY) -m ops.site $(ARGS)

reference: develop ## write the reference pages of the guides anew, from the code
	@$(PY) -m ops.reference $(ARGS)

bench: develop ## measure against bare aiohttp and a plain FastAPI service
	@$(PY) -m loadtest.bench $(ARGS)

bench-handoff: develop ## measure the hand-off against Celery on Redis with requests
	@$(PY) -m loadtest.handoff $(ARGS)

bench-providers: develop ## time each provider's verify and decode beside its independent client
	@$(PY) -m tests.bench_providers $(ARGS)

bench-overload: develop ## what is left at 2, 5 and 10 times the capacity; needs root and two cores
	@$(PY) -m loadtest.overload $(ARGS)

demo: develop ## 1,000 orders with their payments, then compare what was promised with what is stored
	@$(PY) -m loadtest.demo $(ARGS)

# Of `make loadtest`: the gateway, arrivals per second at the peak, and how many minutes of it.
# KEY_FILE names a file with an API key; without it the key is TIDEGATE_API_KEY, or that of `make run`.
HOST = $(or $(TIDEGATE_URL),http://127.0.0.1:8080)
PEAK = 20
MINUTES = 1
KEY_FILE =
WEB =

loadtest: develop ## Locust against a running gateway: HOST= PEAK= MINUTES= KEY_FILE= WEB=1 ARGS=
	@$(VENV)/bin/locust -f loadtest/locustfile.py --host '$(HOST)' --peak '$(PEAK)' \
		--minutes '$(MINUTES)' $(if $(KEY_FILE),--key-file '$(KEY_FILE)') \
		$(if $(WEB),--web-host 127.0.0.1,--headless) $(ARGS)

torture: develop ## kill, freeze, fill and cut every part under load, and compare; takes a while
	@$(PY) -m tests.torture $(ARGS)

lock: ## for maintainers: pin the dependencies anew (needs uv; ARGS=--upgrade takes newer ones)
	@command -v uv >/dev/null || { echo 'make lock needs uv: pip install uv'; exit 1; }
	uv pip compile $(COMPILE) $(ARGS) pyproject.toml --extra embedded --extra kafka --group build \
		--output-file requirements.lock
	uv pip compile $(COMPILE) $(ARGS) pyproject.toml --extra embedded --extra kafka \
		--group build --group dev --constraints requirements.lock --output-file tests/requirements.lock

clean: ## remove .venv and caches; your data in .tidegate stays
	rm -rf $(VENV) build dist ./*.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis \
		.import_linter_cache
	find gateway workers ops loadtest tests -name __pycache__ -type d -prune -exec rm -rf {} +

# What is installed is remembered by checksum, written down only after pip has finished: an
# interrupted install is done again, an unchanged lock is not. The tests' lock contains the other,
# which goes first: it brings the setuptools that builds what has no wheel. Without isolation, so
# that nothing unhashed is fetched for a build.

RUNTIME_INPUTS := requirements.lock pyproject.toml
DEVELOP_INPUTS := $(RUNTIME_INPUTS) tests/requirements.lock
STAMP := $(VENV)/.installed

runtime: venv
	$(call install,requirements.lock,runtime)

develop: venv
	$(call install,tests/requirements.lock,develop runtime)

# $(1) is the lock, $(2) what it provides; the first of these tells whether it is there already.
define install
	@set -eu; \
	runtime="runtime $$(cat $(RUNTIME_INPUTS) | sha256sum)"; \
	develop="develop $$(cat $(DEVELOP_INPUTS) | sha256sum)"; \
	if ! grep -qsxF "$$$(firstword $(2))" $(STAMP); then \
		rm -f $(STAMP); \
		for lock in requirements.lock $(filter-out requirements.lock,$(1)); do \
			echo "installing $$lock into $(VENV) ..."; \
			$(PIP) install --use-pep517 --no-build-isolation --require-hashes -r $$lock; \
		done; \
		$(PIP) install --no-deps --no-build-isolation -e .; \
		for what in $(2); do eval "echo \"\$$$$what\""; done > $(STAMP).new; \
		mv $(STAMP).new $(STAMP); \
	fi
endef

# A half-made environment has no pip that works, and a moved one names another directory: both are
# made anew.
venv:
	@set -eu; \
	if grep -qsF '$(CURDIR)/$(VENV)' $(VENV)/bin/activate; then \
		if $(PY) -c '$(USABLE)' 2>/dev/null; then exit 0; fi; \
		if $(PY) -c '$(SUPPORTED)' 2>/dev/null && $(PIP) --version >/dev/null 2>&1; then \
			exit 0; \
		fi; \
	fi; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo='sudo '; \
	found=; \
	for python in $(if $(PYTHON),$(PYTHON),$(PYTHONS)); do \
		if "$$python" -c '$(SUPPORTED)' 2>/dev/null; then found="$$python"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		package=python3-venv; ! command -v python3 >/dev/null || package=python3.11-venv; \
		echo "Python 3.11 or newer is needed and $(or $(PYTHON),python3) is not." \
			"Install it and run make again:"; \
		echo "  $${sudo}apt-get install $$package"; \
		exit 1; \
	fi; \
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$found cannot make a virtual environment." \
			"Install one package and run make again:"; \
		echo "  $${sudo}apt-get install $$(basename "$$found")-venv"; \
		exit 1; \
	fi; \
	echo "making $(VENV) with $$("$$found" -V) ..."; \
	rm -rf $(VENV); \
	"$$found" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
