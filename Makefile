# make run    the studio, on whatever this computer has
# make test   the same set-up, then every check
# make mac    on a Mac: every Metal kernel compiled, tested and measured
# make gpu    on a GPU box, with its own Python: every CUDA kernel compiled, tested and measured
# make pocket the bundled model, made again from nothing

PYTHON ?= python3
WORKERS ?= 3
BIN := .venv/bin
export PIP_CONSTRAINT := .venv/constraints.txt

.PHONY: setup setup-run run test check lint mac gpu pocket screenshots format clean

setup:
	@$(PYTHON) tools/setup_venv.py test

setup-run:
	@$(PYTHON) tools/setup_venv.py run

run: setup-run
	@$(BIN)/loralab-tui

# Reading the code takes what waiting tests leave.
test: setup
	@$(MAKE) --no-print-directory -j2 lint check

check:
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What could not be done says why; a run that was cut short goes on where it was.
mac:
	@$(PYTHON) -m benchmarks.mac --check
	@$(MAKE) setup
	@$(BIN)/python -m benchmarks.mac

# No set-up, no network. PARTS="test train" for some of it, AGAIN=1 to do over what is done.
gpu:
	@PYTHONPATH=. $(PYTHON) -m benchmarks.gpu $(PARTS) $(if $(AGAIN),--again)

# Pocket from nothing: about forty minutes on two cores; a step whose output is in build/pocket is left out.
pocket: setup
	@LORALAB_HOME=build/pocket/home OMP_NUM_THREADS=2 $(BIN)/python -m recipes.pocket build/pocket

# The pictures of the README, taken from a real run of the demo.
screenshots: setup
	@$(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[docs]'
	$(BIN)/python -m tools.screenshots

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
