# Each target but gpu first brings .venv up to date, which costs nothing when nothing has changed.
# Choose another Python with PYTHON=python3.12, another torch with RIDGE_TORCH=cpu or cuda.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install lab test lint fix bench matrix canary gpu

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' Makefile

install: ## make .venv and install the course in it
	@$(PYTHON) gpu_utils/_dev/install.py

lab: install ## open JupyterLab at the first lesson
	@$(BIN)/ridge lab

test: install ## run everything that CI runs; UNIT=04 runs one unit
	@$(BIN)/python -m gpu_utils._dev.suite $(if $(UNIT),--unit $(UNIT))

lint: install ## check style and types
	@$(BIN)/python -m gpu_utils._dev.suite --lint

fix: install ## repair what ruff can repair
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: install ## measure what checks, counting and compiling take here; ONLY=counting for one part
	@$(BIN)/python -m gpu_utils._dev.bench $(if $(ONLY),--only $(ONLY))

matrix: install ## run the instruments' tests on every Triton they support; ONLY=3.9.0 for one
	@$(BIN)/python -m gpu_utils._dev.matrix $(if $(ONLY),--only $(ONLY))

canary: install ## run them on the newest torch and Triton there are
	@$(BIN)/python -m gpu_utils._dev.matrix --canary

# Installs nothing: a borrowed machine has its own torch, and often no network.
gpu: ## on a machine with a GPU: measure it all; BUDGET_MIN=8 OUT=gpu-results
	@PYTHONPATH=.$${PYTHONPATH:+:$$PYTHONPATH} $(PYTHON) -m gpu_utils._dev.gpu
