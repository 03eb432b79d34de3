# make setup creates .venv from pinned versions; make demo runs the main job; make test passes the tests; make check is for
# every save: lint, types, and the tests of the folders that differ from the last commit, or else of the last commit's folders.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := $(shell find transforms pipeline deploy -type d -not -path "*/__pycache__*" -not -path "*/presets*")

.PHONY: setup demo test lint check audit clean

setup: $(VENV)/.ready

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "noisebeam needs Python 3.11 or newer; found %s; name another with make PYTHON=..." % sys.version.split()[0])'
	if command -v uv >/dev/null; then uv venv --quiet --clear --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV); \
	else $(PYTHON) -m venv --clear $(VENV) && $(BIN)/python -m pip install --quiet --disable-pip-version-check -c deploy/constraints.txt uv; fi
	@touch $@

# The folders stand here because a strict editable install has to be made again when a module is added.
$(VENV)/.ready: $(VENV)/.python pyproject.toml deploy/constraints.txt $(PACKAGES)
	$$(command -v uv || echo $(BIN)/uv) pip install --quiet --python $(BIN)/python -c deploy/constraints.txt \
		--config-settings editable_mode=strict -e '.[beam,dedup,lang,yaml,stanza,train,s3,warc,dataflow,dev]'
	@touch $@

demo: setup
	$(BIN)/python deploy/training/demo.py

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m 'not slow'

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Folders with changed files, or with those of the last commit if nothing is changed, and the folders of tests that mirror them.
CHANGED = $(or $(shell git diff --name-only --diff-filter=d HEAD; git ls-files --others --exclude-standard),$(shell git show --format= --name-only --diff-filter=d HEAD))
TOUCHED = $(sort $(dir $(filter %.py,$(CHANGED))))
check: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m 'not slow' tests/test_structure.py \
		$(wildcard $(filter-out tests/,$(TOUCHED)) $(addprefix tests/,$(TOUCHED)))

# Known vulnerabilities of the pinned versions. It fails too where they cannot be looked up.
audit: setup
	$$(command -v uv || echo $(BIN)/uv) tool run pip-audit --strict --no-deps --disable-pip -r deploy/constraints.txt

clean:
	rm -rf $(VENV) build dist demo training
