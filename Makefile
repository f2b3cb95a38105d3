# Everything a newcomer or a machine runs; `make help` lists it. Needs Python 3.11 or newer with venv, nothing else.

PYTHON ?= python3
ONCE ?=
BIN := .venv/bin
SOURCES := gateway workers models
CPU_STAMP := .venv/.installed-cpu
DEV_STAMP := .venv/.installed-dev
TRAIN_STAMP := .venv-train/.installed
JUDGE_STAMP := var/judges/.installed
NODE_STAMP := var/fhir_clients/.installed
SEKMET_STAMP := var/sekmet/.installed
MLSERVER_STAMP := var/mlserver/.installed
JUDGED ?= tests/unit/gateway/formats/fhir/golden tests/unit/gateway/formats/fhir/record_golden
OUT ?= models/packs
SEED ?= 1
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: bench-cpu bench-dicom bench-fhir bench-gpu bench-latency bench-pixels bench-start chaos clean demo docs ehr-sekmet fhir-storm fuzz help imports judge-fhir lint lock lost-notifications mlserver node-clients rotate-storm sekmet test train train-smoke typecheck venv venv-dev

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "This Python has no venv module; on Debian or Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv

# The development environment holds everything of the CPU one, so the second is not installed over the first.
$(CPU_STAMP): requirements/cpu.lock pyproject.toml | .venv/bin/python
	@if [ -e $(DEV_STAMP) ]; then $(MAKE) --no-print-directory $(DEV_STAMP); else \
		echo "installing requirements/cpu.lock into .venv"; \
		$(PIP) install --require-hashes -r requirements/cpu.lock && $(PIP) install --no-deps -e .; fi
	@touch $@

$(DEV_STAMP): requirements/dev.lock pyproject.toml | .venv/bin/python
	@echo "installing requirements/dev.lock into .venv"
	@$(PIP) install --require-hashes -r requirements/dev.lock
	@$(PIP) install --no-deps -e .
	@touch $@

venv: $(CPU_STAMP) ## make .venv with what running needs, from the hash-locked file

venv-dev: $(DEV_STAMP) ## make .venv with what testing needs too

demo: venv ## start a gateway, send it a real study, show the report (ONCE=1: stop then)
	@$(BIN)/python deploy/demo/run_demo.py $(if $(ONCE),--once)

test: venv-dev ## run the test suite; absent foreign programs are named at its end
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 5 --dist loadfile --no-loadscope-reorder

$(TRAIN_STAMP): requirements/train.txt
	$(PYTHON) -m venv .venv-train
	@.venv-train/bin/python -m pip --disable-pip-version-check --quiet install -r requirements/train.txt
	@touch $@

train: $(TRAIN_STAMP) ## train a pack again: PACK=diabetes_risk DATA=folder [OUT=models/packs SEED=1]; not signed
	.venv-train/bin/python -m models.training.$(PACK) --data $(DATA) --out $(OUT) --seed $(SEED)

train-smoke: $(TRAIN_STAMP) ## both networks fitted by two processes as by one; a minute, made-up data, no part of the suite
	.venv-train/bin/torchrun --nproc_per_node=2 -m models.training.smoke

lint: venv-dev ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: venv-dev ## mypy, strict
	$(BIN)/mypy

imports: venv-dev ## the floors of ARCHITECTURE.md: imports go down only
	$(BIN)/lint-imports

bench-dicom: venv-dev ## C-STORE side by side with pynetdicom, DCMTK and Orthanc; rows for BENCHMARKS.md
	$(BIN)/python deploy/bench/bench_dicom.py

bench-pixels: venv-dev ## burned-in text: recall, masked area and ms per frame; rows for BENCHMARKS.md
	$(BIN)/python deploy/bench/bench_pixels.py

bench-fhir: venv-dev ## FHIR: transactions and reads a second on both databases, ms to parse and check; rows for BENCHMARKS.md
	$(BIN)/python deploy/bench/bench_fhir_wire.py
	$(BIN)/python deploy/bench/bench_fhir.py

# google-fhir-r4 needs an old protobuf, so the judges live apart.
$(JUDGE_STAMP): requirements/judges.txt
	$(PYTHON) -m venv var/judges
	@var/judges/bin/python -m pip --disable-pip-version-check --quiet install -r requirements/judges.txt
	@touch $@

judge-fhir: $(JUDGE_STAMP) ## three foreign validators judge the FHIR we emit: JUDGED="folders or files"
	var/judges/bin/python deploy/tools/judge_fhir.py $(JUDGED)

# The test copies the scripts beside node_modules, because Node looks for packages from where a script lies.
$(NODE_STAMP): tests/wire/fhir_clients/package-lock.json
	@mkdir -p var/fhir_clients
	@cp tests/wire/fhir_clients/package*.json var/fhir_clients/
	@cd var/fhir_clients && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

node-clients: $(NODE_STAMP) ## FHIR clients for JavaScript, so that their tests are not skipped; needs node and npm

$(SEKMET_STAMP): requirements/sekmet.txt
	$(PYTHON) -m venv var/sekmet
	@var/sekmet/bin/python -m pip --disable-pip-version-check --quiet install -r requirements/sekmet.txt
	@touch $@

$(MLSERVER_STAMP): requirements/mlserver.txt
	$(PYTHON) -m venv var/mlserver
	@var/mlserver/bin/python -m pip --disable-pip-version-check --quiet install -r requirements/mlserver.txt
	@touch $@

mlserver: $(MLSERVER_STAMP) ## a foreign inference server in an environment of its own, so that its tests are not skipped

sekmet: $(SEKMET_STAMP) ## a foreign EHR in an environment of its own, so that its tests are not skipped

ehr-sekmet: venv-dev $(SEKMET_STAMP) ## a foreign EHR with a whole gateway: an order becomes a report, and its scenarios
	$(BIN)/python -m pytest -q tests/wire/fhir_clients/test_sekmet.py

fhir-storm: venv-dev ## the web process killed at random while transactions arrive, on both databases: all or nothing
	DXGATE_TEST_STORM_ROUNDS=20 $(BIN)/python -m pytest --timeout=1800 tests/flow/test_fhir_storm.py

bench-cpu: venv-dev ## images per second of a worker beside a bare ONNX Runtime loop, and a large pack, on the CPU
	$(BIN)/python deploy/bench/bench_inference.py --device cpu
	$(BIN)/python deploy/bench/bench_large_model.py --device cpu

bench-gpu: venv-dev ## the same on a GPU; needs the extra gpu in place of cpu
	$(BIN)/python deploy/bench/bench_inference.py --device cuda --threads 16 --studies 100
	$(BIN)/python deploy/bench/bench_large_model.py --device cuda --parameters 20e6 1e9 3e9

bench-start: venv-dev ## seconds from `dxgate up` to ready and memory of all processes; rows for BENCHMARKS.md
	$(BIN)/python deploy/bench/bench_start.py

bench-latency: venv-dev ## seconds from the last C-STORE answer to the readable report
	$(BIN)/python deploy/bench/bench_report_latency.py

chaos: venv-dev ## the long chaos run: SIGKILL at random moments, nothing lost, nothing twice
	DXGATE_TEST_CHAOS_STUDIES=30 $(BIN)/python -m pytest --timeout=1800 tests/flow/test_chaos.py

fuzz: venv-dev ## the property tests with new random inputs
	DXGATE_TEST_RANDOM=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m hypothesis

lost-notifications: venv-dev ## a subscriber's endpoint away and the gateway killed twice, on both databases
	DXGATE_TEST_NOTIFICATIONS=all $(BIN)/python -m pytest --timeout=600 tests/flow/test_lost_notifications.py

rotate-storm: venv-dev ## keys rotated and destroyed again and again while objects arrive, on both databases
	DXGATE_TEST_ROTATE_ROUNDS=20 $(BIN)/python -m pytest --timeout=1800 tests/contract/test_key_rotation.py

lock: ## write requirements/*.lock again from pyproject.toml
	@PYTHON=$(PYTHON) deploy/tools/lock.sh

docs: venv ## write the generated parts of the documents again
	$(BIN)/python deploy/tools/state_diagrams.py
	$(BIN)/python deploy/tools/confidentiality_table.py
	PYTHONPATH=. $(BIN)/python deploy/tools/models_table.py

clean: ## remove both environments, caches and what the demo left
	rm -rf .venv .venv-train build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache var/demo
	find $(SOURCES) tests deploy alembic -name __pycache__ -type d -prune -exec rm -rf {} +
