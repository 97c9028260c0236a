# Everything from a fresh clone, with Python 3.11 or newer and git. See CONTRIBUTING.md.

PYTHON ?= python3
VENV := .venv
SHELL := bash
BIN := $(VENV)/bin
DEMO := fixtures/htp/winml-bert-mini-dynamo
WORKERS ?= 2
EXTRAS := .[numeric,schema,transformers,cypher]
LOWEST := .venv-lowest
PYTEST := -m pytest -n $(WORKERS) --dist worksteal

.PHONY: help demo test test-all zoo test-random test-lowest coverage guards lint docs format tools viewer browser real bench \
	fuzz upgrade dist-check clean

help:
	@echo "make demo      encode and decode a real model, and compare the digests"
	@echo "make test      lint, types and the tests (under 10 minutes on 2 cores)"
	@echo "make test-all  the slow tests too"
	@echo "make zoo       batches over real parts: an S3 server, a Dask cluster, processes that are killed"
	@echo "make test-random  the tests in another order each time (SEED=N repeats one)"
	@echo "make test-lowest  the tests with the lowest versions that pyproject.toml allows"
	@echo "make coverage  lines and branches of the wire, path and publication code; fails under 100 %"
	@echo "make guards    takes each guard against hostile input and faults away, and expects red"
	@echo "make tools     cytoscape.js and graphology for tests/tools (needs Node.js)"
	@echo "make viewer    builds the page of g2o view from viewer/ (needs Node.js); commit what it builds"
	@echo "make browser   Chromium and Firefox from the system's packages, and what drives them, for tests/viewing"
	@echo "make real      models of published packages through everything (needs a package index)"
	@echo "make bench     speed and memory beside peers"
	@echo "make docs      the API reference as HTML in build/api"
	@echo "make format    apply the formatter"
	@echo "make upgrade   raises the versions in constraints.txt and tests/lowest.txt"
	@echo "make dist-check  builds wheel and sdist, and tries them without this folder (PYTHONS=...)"

# The package as a user gets it; what development adds comes on top, so that one environment serves both.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip
	$(BIN)/python -m pip install -qq --editable .
	@touch $@

$(VENV)/developed: $(VENV)/installed constraints.txt
	$(BIN)/python -m pip install -qq --constraint constraints.txt --editable "$(EXTRAS)" --group test --group lint --group tools --group docs
	@touch $@

# The lowest versions that pyproject.toml allows, in an environment of their own.
$(LOWEST)/developed: pyproject.toml tests/lowest.txt
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install -qq --upgrade pip
	$(LOWEST)/bin/python -m pip install -qq --constraint tests/lowest.txt --editable "$(EXTRAS)" --group test --group tools
	@touch $@

demo: $(VENV)/installed
	@rm -rf .demo && mkdir .demo
	$(BIN)/g2o encode $(DEMO)/model.onnx --metadata $(DEMO)/model_htp_metadata.json --output .demo/model.graphml
	$(BIN)/g2o decode .demo/model.graphml --output .demo/model.onnx --metadata-output .demo/model_htp_metadata.json
	@$(BIN)/python -c "import hashlib, sys; \
	digests = [hashlib.sha256(open(name, 'rb').read()).hexdigest() for name in sys.argv[1:]]; \
	print('original', digests[0]); print('decoded ', digests[1]); \
	sys.exit(digests[0] != digests[1])" $(DEMO)/model.onnx .demo/model.onnx
	@echo "The same file. Look at .demo/model.graphml in yEd, Cytoscape or an editor."

lint: $(VENV)/developed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python $(PYTEST) -m "not slow"

test-all: lint
	$(BIN)/python $(PYTEST)

zoo: $(VENV)/developed
	$(BIN)/python -m pip install -qq --constraint constraints.txt --group zoo
	$(BIN)/python -m pytest tests/zoo tests/tabular

test-random: $(VENV)/developed
	$(BIN)/python $(PYTEST) -m "not slow" -p randomly $(if $(SEED),--randomly-seed=$(SEED))

test-lowest: $(LOWEST)/developed
	$(LOWEST)/bin/python $(PYTEST) -m "not slow"

# The tests that concern that code; each also runs in `make test`.
coverage: $(VENV)/developed
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow" --cov --cov-report=term-missing \
	tests/onnxfile tests/files tests/parameters tests/codec/test_residue.py tests/roundtrip/test_external_data.py \
	tests/faults/test_replaced_pairs.py

guards: $(VENV)/developed
	$(BIN)/python -m tests.guards

docs: $(VENV)/developed
	$(BIN)/pdoc --docformat google --output-directory build/api graphml_onnx

format: $(VENV)/developed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tools: $(VENV)/developed
	npm ci --prefix tests/tools/js --no-audit --no-fund

viewer:
	npm ci --prefix viewer --no-audit --no-fund
	npm run build --prefix viewer

# Where there is apt, its browsers; elsewhere whatever is on the path. Playwright brings none of its own.
APT := $(if $(filter 0,$(shell id -u)),,sudo )apt-get
browser: $(VENV)/developed
	$(BIN)/python -m pip install -qq --constraint constraints.txt --group browser
	@if command -v apt-get > /dev/null && ! command -v chromium chromium-browser google-chrome > /dev/null; then \
	$(APT) update -qq && DEBIAN_FRONTEND=noninteractive $(APT) install -y -qq --no-install-recommends chromium; \
	$(APT) install -y -qq --no-install-recommends firefox-esr || echo "no Firefox: its test is skipped"; fi
	@command -v chromium chromium-browser google-chrome | head -1 | grep . || (echo "install Chromium, and try again"; exit 1)

real: $(VENV)/developed
	$(BIN)/python -m tests.real --jobs $(WORKERS)

bench: $(VENV)/developed
	$(BIN)/python -m benchmarks.bench

fuzz: $(VENV)/developed
	for target in wire graphml lines json edges metadata external commands bitflips; do $(BIN)/python -m tests.campaign $$target --count 10000 --jobs $(WORKERS) || exit 1; done

# CUDA's libraries are left out: torch itself says which it needs, where it has any.
COMPILE = $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --no-annotate --no-header --all-extras pyproject.toml
WITHOUT_CUDA = sed -E '/^(nvidia|cuda|triton)/d'

upgrade: $(VENV)/installed
	$(BIN)/python -m pip install -qq --upgrade --group upgrade
	set -o pipefail; (echo '# Exact versions for development, written by `make upgrade`.'; \
	$(COMPILE) --group test --group zoo --group lint --group tools --group docs --group dist --group browser | $(WITHOUT_CUDA)) > $(VENV)/constraints.txt
	$(COMPILE) --resolution lowest-direct > $(VENV)/lowest-direct.txt
	set -o pipefail; (echo '# The lowest versions that pyproject.toml allows, written by `make upgrade` for `make test-lowest`.'; \
	$(COMPILE) --constraint $(VENV)/lowest-direct.txt --group test --group tools | $(WITHOUT_CUDA)) > $(VENV)/lowest.txt
	mv $(VENV)/constraints.txt constraints.txt
	mv $(VENV)/lowest.txt tests/lowest.txt

PYTHONS ?= python3.11 python3.12 python3.13

dist-check: $(VENV)/installed
	$(BIN)/python -m pip install -qq --constraint constraints.txt --group dist
	$(BIN)/python -m tests.distributions $(PYTHONS)

clean:
	rm -rf $(VENV) $(LOWEST) dist .demo .real build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
