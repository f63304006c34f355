# make setup   install groot and what developing it needs into .venv (pip's own settings apply)
# make demo    train and optimise a small labeler on the sample; SEED=2 for another seed
# make test    all tests and the examples in the docstrings
# make check   lint, format, types, examples in the docstrings
# make mutated read 1,000 files broken as those of people are, which takes a minute
# make house   the figures of the code: sizes, parameters, repeated places (HOUSE=--list names them)
# make bench   train on the four benchmarks and print the table of the README, then
#              make bench-search (beside generate and CTranslate2) and make bench-taggers (beside
#              spaCy), which write docs/benchmarks.md and take the models that were trained
#              BENCH="atis snips" for some of them, SEED=2 for another seed

PYTHON ?= python3
SEED ?= 1
TEST_PROCESSES ?= 2
DEMO_OUT ?= runs/demo$(if $(filter-out 1,$(SEED)),-seed-$(SEED))
BENCH ?= atis snips mit_restaurant mit_movie_trivia
BIN = .venv/bin

TRAINED = $(foreach name,$(filter mit_restaurant snips,$(BENCH)),$(name)=runs/bench/$(name)-seed-$(SEED))

.PHONY: setup demo test check mutated house bench bench-training bench-search bench-taggers
.DELETE_ON_ERROR:

setup: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "groot needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another: make setup PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup
	$(BIN)/groot train sample --reward f0.5 --out $(DEMO_OUT) --seed $(SEED) --set fit.passes=12 \
	  --set optimise.rounds=1 --set distil.variations=2

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile \
	  tests/recipes tests/cli tests src  # the longest first

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --doctest-modules src

# 1,000 files broken as people's files are: nothing is misread without a warning
mutated: setup
	GROOT_MUTATED=1000 $(BIN)/python -m pytest tests/data/test_mutated_files.py

house: setup
	$(BIN)/python tools/house.py $(HOUSE)

bench:
	$(MAKE) bench-training
	$(MAKE) bench-search
	$(MAKE) bench-taggers

bench-training: setup
	$(BIN)/python benchmarks/tagging.py $(BENCH) --seed $(SEED) --out runs/bench

bench-search: setup
	$(BIN)/python benchmarks/search.py --page docs/benchmarks.md \
	  $(if $(TRAINED),--model $(TRAINED) --proof $(addsuffix /fitted,$(TRAINED)))

bench-taggers: setup
	$(if $(TRAINED),$(BIN)/python benchmarks/taggers.py --page docs/benchmarks.md --model $(TRAINED))
