# make demo, make test: all the set-up and the job, on a machine with Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/.installed

.PHONY: help install demo test mutants check bench mini clean
help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

install: $(DONE) ## .venv with the package (editable) and all that check and test need
$(DONE): pyproject.toml .ci/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint .ci/constraints.txt --editable '.[dev]'
	touch $(DONE)

demo: install ## upscale the shipped clip into demo/, beside bicubic and the truth
	$(BIN)/python -m vsr_adapter.demo demo

test: install ## the whole test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder # threads that wait for each other cost more than they give

mutants: install ## plant the kept defects and 400 mutants, and name those that the tests let pass (an hour; goes on where it was stopped; ARGS="--only model")
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.mutants --defects
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.mutants $(ARGS)

check: install ## lint, format, types, import direction, file length, CI workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@git ls-files '*.py' | xargs wc -l | awk '$$2 != "total" && $$1 > 300 {print $$2 ": " $$1 " lines, at most 300: split it"; bad = 1} END {exit bad}'
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

bench: install ## slow checks and measurements
	$(BIN)/python -m pytest -m bench -s

# one line a stage, so that Ctrl-C ends make, and not just the stage
MINI := $(BIN)/python -m recipes.mini
mini: install ## train the shipped stack anew in build/mini (about a day on two cores; goes on where it was stopped; ARGS="--threads 2")
	$(MINI) prepare
	$(MINI) train --config recipes/mini/vae.yaml $(ARGS)
	$(MINI) train --config recipes/mini/encoder.yaml $(ARGS)
	$(MINI) train --config recipes/mini/unet.yaml $(ARGS)
	$(MINI) train --config recipes/mini/perceptual.yaml $(ARGS)
	$(MINI) train --config recipes/mini/large.yaml $(ARGS)

clean: ## remove what was made here, but for results
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
