# Two commands for a newcomer: `make demo` and `make test`. They need Python 3.11-3.13 with venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help setup demo test check fuzz bench eval read fit sample clean

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(READY)  ## make .venv with everything in it (kenlm only where it compiles)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	@$(BIN)/pip install --quiet kenlm >$(VENV)/kenlm.log 2>&1 || echo \
	  'notice: kenlm did not compile here ($(VENV)/kenlm.log); the built-in ARPA reader takes over'
	@touch $@

demo: $(READY)  ## read the bundled page and show what came out (demo-out/)
	$(BIN)/ensemble-htr demo --out demo-out

test: $(READY)  ## all tests
	$(BIN)/python -m pytest

check: $(READY)  ## ruff, mypy, the layers, the tests
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

fuzz: $(READY)  ## 20,000 broken files, new ones every time, and the largest hostile ones (minutes)
	ENSEMBLE_HTR_FUZZ=20000 $(BIN)/python -m pytest tests/fuzz tests/hostile

DATA ?= ../shared/data
bench: $(READY)  ## lines per second of each stage on this machine
	$(BIN)/python eval/bench.py

eval: $(READY)  ## compare every quoted figure with stored readings (made from $(DATA) where none are)
	test -e eval/readings/test-unseen.jsonl.xz || $(BIN)/python eval/run.py $(DATA)
	test -e eval/readings/readers-test-unseen.jsonl.xz || \
	  $(BIN)/python eval/run.py $(DATA) --model trio --name readers
	$(BIN)/python eval/figures.py
	$(BIN)/python eval/cards.py $(DATA) --check

read: $(READY)  ## read the data pack in $(DATA) anew: the tables and the readings of eval/
	$(BIN)/python eval/run.py $(DATA)
	$(BIN)/python eval/run.py $(DATA) --model trio --name readers
	$(BIN)/python eval/cards.py $(DATA)

fit: $(READY)  ## fit the shipped ensembles' weights and confidences on fr19/judge
	$(BIN)/python -m ensemble_htr.train.fit models/default --data $(DATA)
	$(BIN)/python -m ensemble_htr.train.fit models/trio --data $(DATA)

FONTS ?= sample/fonts
FONT_PACKAGES := $(addprefix @fontsource/,$(addsuffix @5.3.0,\
  herr-von-muellerhoff mrs-saint-delafield la-belle-aurore))
sample: $(READY)  ## draw the bundled page again (needs npm for its fonts)
	test -d $(FONTS)/node_modules || npm install --silent --no-save --prefix $(FONTS) $(FONT_PACKAGES)
	$(BIN)/python sample/make_page.py --fonts $(FONTS)

clean:  ## remove what was built, never what was trained
	rm -rf $(VENV) build dist demo-out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
