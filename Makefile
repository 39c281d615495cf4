# What people and CI type. Two commands matter: `make quickstart` and `make test`.
#
# Needs Python >= 3.11 with venv; requirements/venv.sh says in one line what is missing. Everything goes into .venv
# and .bootstrap of this checkout, from the hashed locks in requirements/. Another interpreter:
# `make clean quickstart PYTHON=python3.12`.

.DEFAULT_GOAL := help
.PHONY: help setup quickstart article cifar10 cluster test test-node equivalence check image sbom kind chart-docs bench lock clean

PYTHON ?= python3
# More arguments for pytest: make test ARGS="-k grid"
ARGS ?=
# `make lock UPGRADE=--upgrade` moves every pin to the newest; without it only what no longer fits moves.
UPGRADE ?=

BIN := .venv/bin
UV := .bootstrap/bin/uv
RUN := .venv/.run.stamp
DEV := .venv/.dev.stamp

# Whoever points pip at another index means uv too, which does not read pip's variable.
ifdef PIP_INDEX_URL
UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
export UV_DEFAULT_INDEX
endif

# Keras and matplotlib would make folders in the home directory; here they keep to the user's cache.
XDG_CACHE_HOME ?= $(HOME)/.cache
KERAS_HOME ?= $(XDG_CACHE_HOME)/keras
MPLCONFIGDIR ?= $(XDG_CACHE_HOME)/matplotlib
export KERAS_HOME MPLCONFIGDIR

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

setup: $(DEV) ## Make .venv with everything for development

quickstart: $(RUN) ## Train the 288 trials of examples/quickstart.yaml here and write the report
	$(BIN)/kgen run examples/quickstart.yaml

# DATA=FILE.npz: x_train, y_train, x_test, y_test as Keras has them. It is linked beside the sweep, which names it.
DATA ?=
article: $(RUN) ## Run the whole article, examples/article.yaml, on DATA=mnist.npz: about 70 minutes on two cores beside other work
	@sh examples/data.sh mnist "$(DATA)" $(BIN)/python
	$(BIN)/kgen run examples/article.yaml

cifar10: $(RUN) ## The same question on CIFAR-10, examples/cifar10.yaml, on DATA=cifar10.npz: about an hour
	@sh examples/data.sh cifar10 "$(DATA)" $(BIN)/python
	$(BIN)/kgen run examples/cifar10.yaml

# Needs no more than Python, and Go, which is fetched where it is missing.
cluster: ## Start a Kubernetes with fake GPU nodes here, until Ctrl-C; the first time it is built, in minutes
	@sh requirements/venv.sh "$(PYTHON)"
	@exec $(BIN)/python -m tests.cluster.controlplane

# A file's tests stay in one process (its fixtures are made once); files keep their order, in which tests/conftest.py
# puts those last that need the machine for themselves.
PYTEST := $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

test: $(DEV) ## Run every test
	$(PYTEST) $(ARGS)

# Root and Debian packages, which a test that is skipped names.
test-node: $(DEV) ## Run the tests of real pods on a real node, and those of the image: as root, with Debian packages
	KGEN_TEST_NODE=1 $(PYTEST) tests/node tests/image $(ARGS)

# One thread, as in the workers of a run: other numbers of threads add in other orders.
equivalence: $(DEV) ## Compare many trials in one program with plain Keras, one at a time: some minutes of one core
	KGEN_TEST_EQUIVALENCE=1 TF_NUM_INTRAOP_THREADS=1 $(BIN)/python -m pytest -s tests/unit/trainer/test_equivalence.py $(ARGS)

check: $(DEV) ## Lint, formatting, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint image/Dockerfile

# Variables for both: IMAGE, EXTRA=cuda, BASE_IMAGE, ENGINE; see docs/image.md.
image: ## Build the image for trials, by docker, podman or buildah
	@sh image/build.sh

sbom: $(DEV) ## Write what is in that image as a bill of materials, build/image.cdx.json
	@sh image/sbom.sh build/image.cdx.json $(BIN)/python

kind: ## Start a cluster of kind here, with that image and the chart; needs Docker or Podman, kind, Helm
	@sh manifests/kind.sh check
	@$(MAKE) --no-print-directory image
	@sh manifests/kind.sh

chart-docs: $(DEV) ## Write the chart's README anew, from its values
	@$(BIN)/python -m tests.chart.readme

bench: $(DEV) ## Measure: every script of tests/benchmarks, one after the other
	@set -e; for script in tests/benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script; done

# The files name no index and no host: whoever installs chooses where from, the hashes say what.
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock" $(UPGRADE)
FOLLOW = $(COMPILE) --constraints requirements/dev.txt

lock: ## Make requirements/*.txt anew from pyproject.toml
	@sh requirements/venv.sh "$(PYTHON)"
	$(COMPILE) pyproject.toml --extra tensorflow --extra report --extra search --group dev -o requirements/dev.txt
	$(FOLLOW) pyproject.toml --extra tensorflow --extra report --extra search --group build -o requirements/run.txt
	$(FOLLOW) pyproject.toml --extra cuda --extra report --extra search --group build -o requirements/cuda.txt
	$(FOLLOW) pyproject.toml -o requirements/plain.txt
	$(FOLLOW) --group setup -o requirements/setup.txt
	$(COMPILE) --group go -o requirements/go.txt

clean: ## Remove what make can make again (.venv, caches, builds); results stay
	rm -rf .venv .bootstrap .python build dist .*_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# dev.txt holds all of run.txt at the same versions and nothing is ever removed, so the two commands share one .venv
# in any order. The project itself is linked in, built by the locks' own hatchling: no index is asked.
$(RUN) $(DEV): .venv/.%.stamp: requirements/%.txt requirements/setup.txt requirements/venv.sh pyproject.toml $(BIN)/python
	@sh requirements/venv.sh "$(PYTHON)"
	$(UV) pip install --python $(BIN)/python --compile-bytecode --require-hashes -r $<
	$(UV) pip install --python $(BIN)/python --quiet --offline --no-deps --no-build-isolation --editable .
	@touch $@

# No rule of its own: where it is missing, or its system's Python is gone, the stamps' recipe makes it.
$(BIN)/python: ;
