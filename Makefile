# Sightflow's commands for people. `make help` lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
VENV ?= .venv
WORKERS ?= 2
# The address of PyTorch's index of CPU wheels (see README); empty takes the usual torch.
TORCH_INDEX ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.sightflow-installed

.PHONY: help setup demo test chaos fuzz lint docs wheel sbom clean

help: ## Say what there is.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /: /'

setup: $(STAMP) ## Make the virtual environment, if there is none.

$(STAMP): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) with $(PYTHON): a few minutes and about 6.5 GB (1.8 GB with the CPU torch)."
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] < (3, 13); sys.exit(0 if ok else "Sightflow needs Python 3.11 or 3.12; say make PYTHON=/path/to/python3.11 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@if [ -n "$(TORCH_INDEX)" ]; then \
		$(BIN)/python -m pip install --quiet -c constraints.txt --index-url "$(TORCH_INDEX)" torch torchvision; \
	fi
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[litert,dev]'
	@$(BIN)/python -m flows.dashboard.vendor || true
	@touch $(STAMP)
	@echo "Ready: $(BIN)/sightflow"

demo: $(STAMP) ## Run a real clip through the whole system; writes runs/demo/.
	@echo "Running the demo: a clip with pedestrians, a cascade, an alert, a signed webhook."
	@$(BIN)/sightflow demo

test: $(STAMP) ## Run every test, in WORKERS processes.
	@echo "Running the tests in $(WORKERS) processes; some minutes."
	@$(BIN)/python -m pytest -q -n $(WORKERS)

chaos: $(STAMP) ## Try the faults that take long, and print a table; about an hour.
	@echo "Trying faults: brokers that go away, processes that are killed, poison, dead webhooks."
	@$(BIN)/python -m benchmarks.chaos

fuzz: $(STAMP) ## Feed every reader 10 000 damaged inputs; about fifteen minutes.
	@echo "Fuzzing: damaged records, files, configurations, queries, requests."
	@$(BIN)/python -m benchmarks.fuzz --inputs 10000

lint: $(STAMP) ## Check style, types and layers.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: $(STAMP) ## Write the reference from the code and build the site into site/.
	@$(BIN)/python -m mkdocs --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	@$(BIN)/python -m flows.reference docs/reference >/dev/null
	@$(BIN)/python -m mkdocs build --strict --quiet
	@echo "site/index.html"

wheel: $(STAMP) ## Build the wheel and the source archive into dist/.
	@$(BIN)/python -m build --no-isolation --outdir dist .

sbom: $(STAMP) ## Write the bill of materials, CycloneDX, into dist/.
	@mkdir -p dist
	@$(BIN)/python docker/sbom.py dist/sbom.json
	@echo "dist/sbom.json"

clean: ## Remove what the other commands made.
	rm -rf $(VENV) runs build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
