# make run, make test, make dev: everything else follows from these.
# TORCH_INDEX_URL chooses a build of torch: https://download.pytorch.org/whl/cpu, …/whl/cu130, or the index's default.

PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := $(shell grep '^torch==' constraints.txt)
WORKERS ?= 2
SIDE_BY_SIDE := -n $(WORKERS) --dist loadfile --no-loadscope-reorder # in turn: the longest files are not the last ones

.PHONY: run dev test slow torture check benchmark clean

run: $(STAMP) ## the whole graph on what data/ holds
	@$(BIN)/clipfarm run

dev: $(STAMP) ## the Dagster UI on http://127.0.0.1:3000, sensors on
	@$(BIN)/clipfarm dev

test: $(STAMP) check ## lint, types, layers and tests
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow" $(ARGS)

slow: $(STAMP) ## the journeys that take minutes
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m slow $(ARGS)

torture: $(STAMP) ## kill -9 at random moments, and worse; ARGS: --moments, --seed, scenarios
	$(BIN)/python -m clipfarm_assets_tests.torture $(ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)) $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

benchmark: $(STAMP) ## ratios measured side by side, and one plot; ARGS chooses benchmarks by name
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## removes the virtual environment; your data stays
	rm -rf $(VENV)
