# make run    the studio, on whatever this computer has
# make test   the same set-up, then every check

PYTHON ?= python3
WORKERS ?= 2
BIN := .venv/bin
export PIP_CONSTRAINT := $(CURDIR)/.venv/constraints.txt

.PHONY: setup setup-run run test lint format clean

setup:
	@$(PYTHON) tools/setup_venv.py test

setup-run:
	@$(PYTHON) tools/setup_venv.py run

run: setup-run
	@$(BIN)/loralab-tui

test: setup lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
