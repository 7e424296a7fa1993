# Two commands on a fresh machine with Python 3.11+, git and make: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# Worker processes for the tests: two, as the smallest machine we promise five minutes on has.
WORKERS ?= 2
# What stands on Trio's inside, or on what of Trio changes between releases.
TRIO_TESTS := $(addprefix tests/sim/, \
  kernel/test_kernel.py kernel/test_corpus.py kernel/test_waits.py \
  exploration/test_determinism.py exploration/test_explore.py \
  dependence/test_dependence.py servers/test_server_dependence.py \
  world/test_threads.py world/test_escapes.py world/test_deterministic_sources.py \
  test_trio_inside.py faults)
OLDEST := .venv-trio-oldest
# Under how many orders of Trio's scheduler `make torture` runs the tests of trio_genserver.
SEEDS ?= 10
# How many times the usual number of programs, seeds and executions `make torture` tries.
DOSE ?= 1
FILE ?= examples/todo.txt

# The tests start hundreds of processes, each of which would otherwise compile the three packages anew, and each
# worker would rewrite the assertions of all test files.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-trio-versions check conformance changelog format torture bench peers clean requirements requirements-peers

help:
	@echo 'make demo [FILE=path]   the main job on a real to-do file: import, restart, explore, break, replay'
	@echo 'make test               the whole test suite'
	@echo 'make test-trio-versions the tests of what relies on the inside of Trio, with the oldest Trio declared'
	@echo 'make check              lint, format check, names of changelog fragments, both type checkers'
	@echo 'make conformance        which promises of OTP have a test, and which have none'
	@echo 'make changelog          what newsfragments/ adds to the changelog'
	@echo 'make format             put the code into the format that check wants'
	@echo 'make torture            the long doses of the kill, crash and determinism tests'
	@echo 'make bench              the benchmarks, written into docs/ (about ten minutes)'
	@echo 'make peers              environments for the other libraries that make bench compares with'
	@echo 'make requirements       renew the pinned requirement files (requirements-peers: of the other libraries)'

# What running needs; `make demo` stops here, so that a first look is quick.
$(VENV)/run.stamp: requirements/run.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements/run.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements/dev.txt
	$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(VENV)/run.stamp
	@$(BIN)/python -m examples.demo "$(FILE)"

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m 'not torture'

# The newest that is declared is the one that `make test` runs with.
$(OLDEST)/stamp: requirements/trio-oldest.txt pyproject.toml
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/trio-oldest.txt
	$(OLDEST)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

test-trio-versions: $(OLDEST)/stamp
	$(OLDEST)/bin/python -m pytest -n $(WORKERS) --dist worksteal -m 'not torture' $(TRIO_TESTS)

torture: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m torture --torture-dose $(DOSE)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m 'not torture' --scheduler-seed 1 --scheduler-seeds $(SEEDS) \
	  tests/trio_genserver tests/test_scheduler_seed.py

bench: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.bench_genserver
	$(BIN)/python -m benchmarks.bench_peers
	$(BIN)/python -m benchmarks.bench_supervisor
	$(BIN)/python -m benchmarks.bench_todo
	$(BIN)/python -m benchmarks.bench_linearizability
	$(BIN)/python -m benchmarks.bench_bugs
	$(BIN)/python -m benchmarks.bench_sim

# The other libraries, each in an environment of its own below build/peers; what does not install is left out.
# They are pinned for Python 3.13, and two of them take nothing older: name one with PEERS_PYTHON=...
peers: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.peers --make-environments build/peers $(if $(PEERS_PYTHON),--python $(PEERS_PYTHON))

CHANGELOG := $(BIN)/towncrier build --draft --version Unreleased

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@draft=$$($(CHANGELOG) 2>&1) || { echo "$$draft" >&2; exit 1; }
	$(BIN)/mypy
	$(BIN)/pyright

changelog: $(VENV)/dev.stamp
	@$(CHANGELOG)

# Needs nothing but Python.
conformance:
	@$(PYTHON) tools/otp_coverage.py

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Hashes of every file of every pin, and no index address: the lines name packages, not hosts.
COMPILE := pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras \
  --no-header --no-emit-index-url --no-emit-find-links --no-emit-options

requirements: $(VENV)/dev.stamp
	$(PIP) pip-tools
	cd requirements && for set in run dev trio-oldest; do \
	  ../$(BIN)/$(COMPILE) --output-file $$set.txt $$set.in; \
	done

# Those of the other libraries, resolved by the interpreter that is to run them.
requirements-peers: peers
	build/peers/ours/bin/python -m pip --disable-pip-version-check install --quiet pip-tools
	cd requirements/peers && for set in *.in; do \
	  ../../build/peers/ours/bin/$(COMPILE) --output-file $${set%.in}.txt $$set; \
	done

clean:
	rm -rf $(VENV) $(OLDEST) .mypy_cache .ruff_cache .pytest_cache build dist
