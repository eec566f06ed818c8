# `make` lists what there is to make.
.DEFAULT_GOAL := help
PYTHON ?= python3
PROFILE ?=
PORT ?= 4200
INSIDE := PATH="$(CURDIR)/.venv/bin:$$PATH"

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/installed ## run the whole pipeline; PROFILE=quick for a first look in two minutes
	@$(INSIDE) python -m flows train $(if $(PROFILE),--profile $(PROFILE))

repro: .venv/installed ## run it by plain `dvc repro`, one stage after the other
	@$(INSIDE) dvc repro

serve: .venv/installed ## Prefect's pages, schedules and events on loopback until Ctrl-C; PORT=4200
	@$(INSIDE) exec python -m flows serve --port $(PORT)

test: .venv/installed ## run the tests
	@$(INSIDE) pytest --numprocesses 2 --dist loadfile

lint: .venv/installed ## check style and types
	@$(INSIDE) ruff check .
	@$(INSIDE) ruff format --check .
	@$(INSIDE) mypy

lock: ## resolve pyproject.toml into requirements.lock anew (needs uv: pip install uv)
	uv pip compile pyproject.toml --group dev --output-file requirements.lock --universal \
		--fork-strategy fewest --generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade

clean: ## remove the environment and what the stages wrote; cache, tags and monitoring stay
	rm -rf .venv .dvc/tmp/digitline
	git clean -fdXq data/ingest data/preprocess models $(filter-out reports/monitoring,$(wildcard reports/*))

.venv/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else "expected Python 3.11 to 3.13; %s is %s. Set PYTHON, as in: make run PYTHON=python3.12" % (sys.executable, sys.version.split()[0]))'
	@rm -rf .venv
	@echo "making the environment in .venv: a few minutes, once"
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install $$(test -t 1 || echo --quiet) --disable-pip-version-check \
		--no-deps --require-hashes -r requirements.lock
	@touch $@

.PHONY: help run repro serve test lint lock clean
