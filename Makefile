# The project's chores. Each installs what it needs into .venv first; a second call finds it there.
.DEFAULT_GOAL := help
.PHONY: help demo test quick pythons check bench mutants golden validation claims whatifs lock clean

PYTHON ?=
JOBS ?= 2
SAMPLE ?= 100
ROOMS ?=
VENV := .venv
PY := $(VENV)/bin/python
INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt
PROJECT := pyproject.toml constraints.txt
# .venv keeps a stamp for each set of packages, so that `make demo` need not install what the tests use.
RUNTIME := $(VENV)/.runtime
TEST := $(VENV)/.test
DEV := $(VENV)/.dev
PEERS := $(VENV)/.peers

help:  ## Print this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile
	@echo "Variables: PYTHON=/path/to/python (3.11 or newer), VENV=.venv (where to install), JOBS=2 (processes of the tests)."

demo: $(RUNTIME)  ## Sweep 7 head dimensions, 6 ratios and 2 contexts on 3 chips; tables and figures.
	@if [ -e out/demo/rows.jsonl ] && [ -n "$$(find hwmodels workloads sim memgrain \
	  \( -name '*.py' -o -name '*.yaml' \) -newer out/demo/rows.jsonl)" ]; then rm -rf out/demo; fi
	@$(VENV)/bin/memgrain sweep head_dim_by_ratio -o out/demo
	@echo "Figures, one a chip:"
	@$(VENV)/bin/memgrain plot out/demo

test: $(TEST)  ## Run the tests, but for the slow ones.
	$(PY) -m pytest -n $(JOBS)

quick: $(TEST)  ## Run the tests of everything but the simulator and its documents.
	$(PY) -m pytest -n $(JOBS) tests/hwmodels tests/workloads tests/memgrain

pythons:  ## Run the tests on every Python from 3.11 to 3.14 on this machine, each in a .venv-VERSION of its own.
	@.ci/pythons | while read -r version python; do \
	  echo "Python $$version: $$python"; \
	  $(MAKE) --no-print-directory test PYTHON="$$python" VENV=".venv-$$version" < /dev/null || exit 1; \
	done

check: $(DEV)  ## Check style, types, import contracts and notebooks.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m pytest --nbmake --nbmake-timeout=300 notebooks

bench: $(PEERS)  ## Measure speed and memory beside goals and peers; write docs/performance.md.
	@$(PY) -m pytest -m bench -p no:cacheprovider tests/bench --document docs/performance.md

mutants: $(TEST)  ## Plant small faults in hwmodels/ and sim/, SAMPLE=100 a room, in all rooms or ROOMS="dram curve".
	@$(INSTALL) -e '.[mutants]'
	$(PY) -m tests.mutants $(ROOMS) --sample $(SAMPLE)

golden: $(TEST)  ## Write anew what is generated: tests/golden, the output in README, the table in DEVIATIONS, the glossary, who reads a number.
	$(PY) -m tests.test_golden
	$(PY) -m tests.test_deviations
	$(PY) -m tests.test_readme
	$(PY) -m tests.glossary_document
	$(PY) -m tests.readers_table

validation: $(TEST)  ## Predict every measured row anew; write docs/validation, README's table, memgrain/runs/validated/*.csv.
	$(PY) -m tests.test_validation_docs

claims: $(RUNTIME)  ## Put the article's claims to the test anew; write docs/claims.md and its figures.
	$(VENV)/bin/memgrain claims --document docs/claims.md > /dev/null

whatifs: $(TEST)  ## Work out ten what-ifs on five chips anew; write docs/whatifs.md.
	$(PY) -m tests.whatifs_document

lock: $(VENV)/.made  ## Write constraints.txt anew with the newest versions that fit; use Python 3.11.
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	  $(PY) -m venv "$$folder/venv" && \
	  "$$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check '.[dev,external]' && \
	  { head -n 1 constraints.txt; "$$folder/venv/bin/python" -m pip freeze --exclude memgrain; } > "$$folder/new" && \
	  cp "$$folder/new" constraints.txt
	@echo "constraints.txt is new; run the tests with it before you commit it."

clean:  ## Remove .venv, .venv-VERSION, caches and the demo's rows; other results in out/ stay.
	rm -rf $(VENV) .venv-* mutants out/demo .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@found=; new='import sys; sys.exit(sys.version_info < (3, 11))'; \
	if ! $(PY) -c "$$new" 2>/dev/null; then \
	  for python in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11 python3.14 python); do \
	    if "$$python" -c "$$new" 2>/dev/null; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "Memgrain needs Python 3.11 or newer, and $(if $(PYTHON),$(PYTHON) is none,none is on the PATH)." \
	      "Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; \
	  fi; \
	  "$$found" -m venv --clear $(VENV) || { \
	    echo "$$found cannot make a virtual environment; on Debian and Ubuntu install the package python3-venv." >&2; \
	    exit 1; }; \
	fi
	@touch $@

$(RUNTIME): $(VENV)/.made $(PROJECT)
	@echo "Installing into $(VENV), about half a minute"
	@$(INSTALL) -e .
	@touch $@

# The outside referee has no wheel, so it needs a C compiler; without it one test is skipped.
$(TEST): $(RUNTIME)
	@$(INSTALL) -e '.[test]'
	@$(INSTALL) -e '.[referee]' 2>/dev/null || \
	  echo "pycachesim cannot be built (it needs a C compiler and Python's headers): its tests will be skipped."
	@touch $@

# Without what it depends on: that reads traces from a cloud, and contradicts constraints.txt.
$(PEERS): $(TEST)
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: 'libcachesim==0.3.5' \
	  2>/dev/null || echo "libcachesim has no wheel for this Python: its figures will be missing."
	@touch $@

$(DEV): $(TEST)
	@$(INSTALL) -e '.[dev]'
	@touch $@
