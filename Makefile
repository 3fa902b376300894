# make demo     run a real plugin on Wasmtime and on Wasmer
# make test     run the tests
# make lint     run the linters and the type checker
# make conformance  prove that all backends behave the same
# make bench    measure calls, starts, scale and metering (installs Extism and Zig)
# make plugins  rebuild the plugins from their sources (installs the toolchains, asks for root)
#
# Everything is installed into a virtual environment in this folder. Choose
# another interpreter with PYTHON=python3.12.

PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import platform; print(platform.python_version())' 2>/dev/null)
SUITS := $(shell $(PYTHON) -c 'import sys; print(sys.version_info >= (3, 10) and sys.implementation.name == "cpython")' 2>/dev/null)
ifneq ($(SUITS),True)
ifneq ($(MAKECMDGOALS),clean)
$(error sen-host needs CPython 3.10 or later (tested to 3.13); $(PYTHON) is $(or $(VERSION),not there). Name another one: make PYTHON=python3.12)
endif
endif
VENV := .venv/$(VERSION)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test conformance lint format bench plugins toolchain install clean

demo: $(VENV)/host.stamp
	@$(BIN)/python examples/demo.py

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest -n auto $(PYTEST_ARGS)

conformance: $(VENV)/host.stamp
	@$(BIN)/sen-host conformance $(CONFORMANCE_ARGS)

lint: $(VENV)/test.stamp $(VENV)/lint.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/lint.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: toolchain
	@$(PIP) install --group bench
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

plugins: $(VENV)/host.stamp
	$(BIN)/python plugins/build.py --install

# All that the tests need, so that they can begin at once.
install: $(VENV)/test.stamp

# The compiler for C and Zig, so that the tests can rebuild these plugins.
toolchain: $(VENV)/test.stamp
	@$(PIP) install --group plugins

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/host.stamp: pyproject.toml
	@echo "installing sen-host with its engines into $(VENV) (about 150 MB, a minute at most) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --editable '.[all]'
	@touch $@

$(VENV)/test.stamp: $(VENV)/host.stamp
	@echo "installing the test tools ..."
	@$(PIP) install --group test
	@touch $@

$(VENV)/lint.stamp: $(VENV)/host.stamp
	@echo "installing the linters ..."
	@$(PIP) install --group lint
	@touch $@
