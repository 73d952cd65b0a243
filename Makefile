# One way in: `make` lists the tasks. Everything runs inside .venv, which `make venv` creates.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

.PHONY: help
help: ## List the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

.PHONY: venv
venv: .venv/ready ## Make the virtual environment with every development tool

.PHONY: demo
demo: venv ## Run the main job: causalrec demo
	$(BIN)/causalrec demo

.PHONY: test
test: venv ## Run the tests (not the slow Monte Carlo studies)
	$(BIN)/pytest -n auto

.PHONY: slow
slow: venv ## Run the slow Monte Carlo studies
	$(BIN)/pytest -n auto -m slow

.PHONY: doctest
doctest: venv ## Run the examples in the docstrings
	$(BIN)/pytest -n auto --doctest-modules causalrec

.PHONY: lint
lint: venv ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: venv ## Check types, strictly
	$(BIN)/mypy

.PHONY: format
format: venv ## Mend style and format in place
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: golden
golden: venv ## Write the golden files again (read the diff before you commit it)
	for file in $$(grep -lE '^if __name__ == "__main__":' tests/*/test_*.py); do $(BIN)/python $$file; done

.PHONY: check
check: lint types doctest test ## All of the above that a pull request needs

.PHONY: ci
ci: ## What the server runs, from nothing
	bash .ci/run
