# `make demo` and `make test` work on a machine that has only python3 and make.
# PYTHON=… chooses the interpreter; everything is installed into .venv.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PACKAGE := spherex_butler
PYTEST_WORKERS ?= auto
# A worker begins with neighbouring tests, which share what their module makes, and takes others' when it has done its own.
PYTEST := $(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help demo demo-pipeline demo-bps test test-quick test-servers lint types unit coverage docs
.PHONY: bench bench-scale bench-search bench-spectra bench-pipeline report-page clean

help:  ## say what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/.installed-demo-$(VERSION)  ## simulate, ingest, query and read a small survey; writes demo-output/
	$(BIN)/python examples/demo.py

demo-pipeline: $(VENV)/.installed-demo-pipeline-$(VERSION)  ## run the spectra pipeline on simulated images and compare; demo-pipeline-output/
	$(BIN)/python examples/pipeline.py

demo-bps: $(VENV)/.installed-demo-pipeline-$(VERSION)  ## the same, submitted by BPS to Parsl on this machine; demo-bps-output/
	$(BIN)/python examples/pipeline.py --bps --output demo-bps-output

test: lint types unit  ## lint, types and tests; with coverage where that costs little

lint: $(VENV)/.installed-test-$(VERSION)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test-$(VERSION)
	$(BIN)/mypy --strict

# Python 3.12 and newer tell what runs as it runs, at little cost; tracing in 3.11 takes half as long again as the tests.
unit: $(VENV)/.installed-test-$(VERSION)
ifeq ($(shell $(PYTHON) -c 'import sys; print(sys.version_info >= (3, 12))' 2>/dev/null),True)
	$(MAKE) coverage
else
	$(PYTEST)
	@echo "Coverage was not measured, which is slow in Python $(VERSION): 'make coverage' does it."
endif

coverage: $(VENV)/.installed-test-$(VERSION)  ## the tests, and which lines of the package they run
	rm -f .coverage .coverage.*
	$(PYTEST) --cov --cov-report=
	$(BIN)/coverage report

test-quick: $(VENV)/.installed-test-$(VERSION)  ## tests of what is pure, and of formatters, in less than a minute
	$(PYTEST) tests/images tests/formats tests/formatters tests/test_names.py tests/test_rings.py

# 1,667 exposures of six images, each for three of eight writers.
test-servers: $(VENV)/.installed-test-$(VERSION)  ## tests against PostgreSQL, S3 and Butler servers, whole: minutes
	SPHEREX_BUTLER_TEST_EXPOSURES=1667 SPHEREX_BUTLER_TEST_PATIENCE=7200 $(PYTEST) tests/servers tests/remote

docs: $(VENV)/.installed-docs-$(VERSION)  ## build the documentation into docs/_build; a warning is an error
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/.installed-test-$(VERSION)  ## measure speed and memory beside their rivals; writes benchmarks/results
	$(BIN)/python benchmarks/spectral_images.py
	$(BIN)/python benchmarks/get_overhead.py

SCALE ?=
bench-scale: $(VENV)/.installed-test-$(VERSION)  ## measure ingest and look-up of many images; SCALE="--images 2700000 …"
	$(BIN)/python benchmarks/scale.py $(SCALE)

SEARCH ?=
bench-search: $(VENV)/.installed-test-$(VERSION)  ## measure the search for positions; SEARCH="--images 2700000 …"
	$(BIN)/python benchmarks/search.py $(SEARCH)

SPECTRA ?=
bench-spectra: $(VENV)/.installed-test-$(VERSION)  ## measure how true and how fast spectra are; SPECTRA="--frames 36 …"
	$(BIN)/python benchmarks/spectra.py $(SPECTRA)

PIPELINE ?=
bench-pipeline: $(VENV)/.installed-test-$(VERSION)  ## measure what graphs and quanta cost; PIPELINE="--graphs 1000 …"
	$(BIN)/python benchmarks/pipeline.py $(PIPELINE)

PAGES ?=
report-page: $(VENV)/.installed-test-$(VERSION)  ## look at pages of the report in Chromium, if it is there; PAGES="report.html …"
	$(BIN)/python benchmarks/report_page.py $(PAGES)

clean:  ## remove what was made
	rm -rf $(VENV) demo-output demo-*-output docs/_build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis

EXTRA_OF_demo := plot
EXTRA_OF_demo-pipeline := pipelines

# One stamp a set of extras and interpreter, so that another PYTHON makes the environment anew.
$(VENV)/.installed-%-$(VERSION): pyproject.toml | check-python
	@set -e; \
	wanted=$$($(PYTHON) -c 'import sys; print(sys.version)'); \
	if [ "$$wanted" != "$$(cat $(VENV)/.python 2>/dev/null)" ]; then \
	    echo "Making $(VENV) with $(PYTHON)"; \
	    rm -rf $(VENV); \
	    $(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) cannot make environments; on Debian install python3-venv." >&2; exit 1; }; \
	    echo "$$wanted" > $(VENV)/.python; \
	fi; \
	echo "Installing spherex-butler[$*] into $(VENV)"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(or $(EXTRA_OF_$*),$*)]'; \
	touch $@

.PHONY: check-python
check-python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "spherex-butler needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; \
	    exit 1; }
