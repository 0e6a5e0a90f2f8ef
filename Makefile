# From a clean clone, with nothing but Python and make:
#
#   make demo    the whole way on the shipped model: export, verify, predict
#   make test    the default tests (no torch, no GPU, no camera)
#
# Both make a virtual environment in .venv. `make demo EXTRAS=demo` leaves torch out (it is
# large) and starts from the shipped bundle.

PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= demo,export

bin := $(VENV)/bin
comma := ,
python_minor := $(shell $(PYTHON) -c 'import sys; print(sys.version_info.minor)' 2>&1)
CONSTRAINTS ?= constraints/$(if $(filter 10,$(python_minor)),jetpack6,ci).txt

# The second variable pins the build back-end too, where pip is 25.3 or newer; before, the
# first did both.
pip_install := PIP_CONSTRAINT=$(CONSTRAINTS) PIP_BUILD_CONSTRAINT=$(CONSTRAINTS) \
	$(bin)/python -m pip install --disable-pip-version-check
# Named by the extras that are in it, so that a second run installs nothing.
dev_stamp := $(VENV)/.installed-dev
demo_stamp := $(VENV)/.installed-$(subst $(comma),+,$(EXTRAS))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check benchmarks clean

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile
	@echo 'Also: make check (formatting, lint, types, tests), make benchmarks, make clean.'

demo: $(demo_stamp)
	$(bin)/mmedge demo

test: $(dev_stamp)
	$(bin)/python -m pytest -n 2 --dist loadfile

check: $(dev_stamp)
	PATH="$(abspath $(bin)):$$PATH" scripts/check

benchmarks: $(dev_stamp)
	set -e; for script in benchmarks/bench_*.py; do \
		$(bin)/python -m "benchmarks.$$(basename "$$script" .py)"; done

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(dev_stamp): $(bin)/python pyproject.toml $(CONSTRAINTS)
	$(pip_install) -e '.[dev]'
	@touch $@

$(demo_stamp): $(bin)/python pyproject.toml $(CONSTRAINTS)
	$(pip_install) -e '.[$(EXTRAS)]'
	@touch $@

$(bin)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' || { \
		echo "mmedge needs Python 3.10 to 3.13, and $(PYTHON) is not one of them."; \
		echo "Name one that is: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu:"; \
		echo "  apt install python3-venv"; exit 1; } >&2
	$(PYTHON) -m venv $(VENV)
