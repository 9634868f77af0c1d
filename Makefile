# Everything that people do with a checkout. `make help` lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .stamps
KERNELS := $(wildcard src/ponant/engine/kernels/cpu/*) src/ponant/engine/kernels/build.py
WEB := $(shell find web -type f -not -path '*/node_modules/*' 2>/dev/null)
PAGE := src/ponant/api/page/index.html
PAGE_WHEEL ?=

.DEFAULT_GOAL := help
.PHONY: help serve setup test check format page web-check debian wheel bench bench-engine bench-live clean

help: ## List what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

serve: setup ## Set everything up and serve (PONANT_HOST, PONANT_PORT, PONANT_HOME)
	@exec $(BIN)/ponant serve

setup: $(STAMPS)/kernels page ## Install the pinned dependencies, the backend that suits, the models
	@$(BIN)/ponant setup

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Ponant needs Python 3.11 or newer; set PYTHON to one.")'
	$(PYTHON) -m venv $(VENV)

$(STAMPS)/base: requirements/base.txt pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements/base.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/kernels: $(KERNELS) $(STAMPS)/base
	$(BIN)/python -m ponant.engine.kernels.build
	@touch $@

# The tests cover both backends, whichever of them suits the machine.
$(STAMPS)/dev: requirements/dev.txt requirements/engine.txt requirements/llamacpp.txt $(STAMPS)/base
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements/dev.txt -r requirements/llamacpp.txt
	$(BIN)/pip install --quiet --disable-pip-version-check $(if $(PONANT_TORCH_INDEX),--index-url $(PONANT_TORCH_INDEX)) -r requirements/engine.txt
	@mkdir -p $(STAMPS) && touch $@

page: $(PAGE) ## Build the page into the package

ifneq ($(shell command -v npm),)
$(PAGE): $(WEB)
	cd web && npm ci --no-audit --no-fund --loglevel=error && npm run build
	@touch $@
else
$(PAGE): $(PAGE_WHEEL)
	@test -n "$(PAGE_WHEEL)" || { echo "Node is not installed, so there is no page: install Node, or name a released wheel with PAGE_WHEEL=ponant-….whl."; exit 0; }; \
	  $(PYTHON) -c 'import sys, zipfile; w = zipfile.ZipFile(sys.argv[1]); w.extractall("src", [n for n in w.namelist() if n.startswith("ponant/api/page/")])' "$(PAGE_WHEEL)"
endif

test: setup $(STAMPS)/dev debian check web-check ## Run every check
	@rm -rf .pytest_cache
	$(BIN)/pytest || $(BIN)/python -m tests.again $$?

check: $(STAMPS)/dev ## Format, lint, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMPS)/dev ## Format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

web-check: $(PAGE) ## Format, lint, types and unit tests of the page
	cd web && npm run check

# Chromium for the page, and the real servers that documents come from.
DEBIAN := chromium dovecot-imapd postgresql tesseract-ocr $(addprefix debian-reference-,en fr de es id zh-cn)

debian: ## Install what the tests need of Debian's packages, where it is missing
	@missing=$$(for name in $(DEBIAN); do dpkg -s $$name >/dev/null 2>&1 || echo $$name; done); \
	  test -z "$$missing" && exit 0; \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  || { echo "The tests need these of Debian's packages:" $$missing; exit 1; }; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null

wheel: $(PAGE) $(STAMPS)/dev ## Build the wheel, with the page inside
	$(BIN)/python -m build --wheel

bench: setup $(STAMPS)/dev ## Measure what the README states
	$(BIN)/python bench/first_light.py

bench-engine: setup $(STAMPS)/dev ## Measure the engine beside the engines one could embed
	$(BIN)/python -m bench.engine
	$(BIN)/python -m bench.embeddings

bench-live: setup $(STAMPS)/dev debian ## Measure live knowledge beside Pathway and CocoIndex (ROWS=…, ARGS=…)
	$(BIN)/python -m bench.live $(if $(ROWS),--rows $(ROWS)) $(ARGS)

clean: ## Remove what was built, not what was stored
	rm -rf $(STAMPS) build dist web/dist src/ponant/api/page
	rm -rf src/ponant/engine/kernels/build src/ponant/engine/kernels/_cpu.so
