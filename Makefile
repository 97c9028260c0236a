# Everything from a fresh clone, with Python 3.11 or newer and git. See CONTRIBUTING.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := fixtures/htp/winml-bert-mini-dynamo
WORKERS ?= 2

.PHONY: help demo test test-all coverage guards lint docs format tools real bench fuzz clean

help:
	@echo "make demo      encode and decode a real model, and compare the digests"
	@echo "make test      lint, types and the tests (under 10 minutes on 2 cores)"
	@echo "make test-all  the slow tests too"
	@echo "make coverage  lines and branches of the wire, path and publication code; fails under 100 %"
	@echo "make guards    takes each guard against hostile input and faults away, and expects red"
	@echo "make tools     cytoscape.js and graphology for tests/tools (needs Node.js)"
	@echo "make real      models of published packages through everything (needs a package index)"
	@echo "make bench     speed and memory beside peers"
	@echo "make docs      the API reference as HTML in build/api"
	@echo "make format    apply the formatter"

# The package as a user gets it; what development adds comes on top, so that one environment serves both.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip
	$(BIN)/python -m pip install -qq --editable .
	@touch $@

$(VENV)/developed: $(VENV)/installed
	$(BIN)/python -m pip install -qq --constraint constraints.txt --group test --group lint --group tools --group docs
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
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

test-all: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

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

real: $(VENV)/developed
	$(BIN)/python -m tests.real --jobs $(WORKERS)

bench: $(VENV)/developed
	$(BIN)/python -m benchmarks.bench

fuzz: $(VENV)/developed
	for target in wire graphml lines json edges metadata external bitflips; do $(BIN)/python -m tests.campaign $$target --count 10000 --jobs $(WORKERS) || exit 1; done

clean:
	rm -rf $(VENV) .demo .real build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
