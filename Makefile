# make demo | test | bench | soak | evaluate-clicks | train-smoke | diversity-study | other-painter | phantom-page | lint | screenshots | translations: each sets up .venv by itself. PYTHON chooses the interpreter (3.10 to 3.12).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
comma := ,

.PHONY: demo test test-core test-mrml test-widgets lint bench soak evaluate-clicks train-smoke diversity-study other-painter phantom-page screenshots translations parity clean

demo: $(VENV)/.runtime
	$(BIN)/psma demo --case demo-case

test: lint test-core test-mrml test-widgets

test-core: $(VENV)/.testing
	$(BIN)/python -m pytest Testing/Core -n 2 --dist loadfile

test-mrml: $(VENV)/.testing
	$(BIN)/python -m pytest Testing/Mrml

# In three processes: views keep some memory until theirs ends, and all together took 8 GB.
test-widgets: $(VENV)/.testing
	for files in 'test_[a-o]*.py' 'test_p*.py' 'test_[q-z]*.py'; do \
		QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest Testing/Widgets/$$files || exit 1; done

lint: $(VENV)/.testing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.testing
	for script in Testing/Benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

# The fault tests of the case store in full, some twenty minutes, random corrections of the scene, many jobs for the worker; a short form is part of test-core.
soak: $(VENV)/.testing
	$(BIN)/python Testing/soak/soak.py
	PSMA_RANDOM_SEQUENCES=220 $(BIN)/python -m pytest Testing/Mrml/test_random_corrections_logic.py
	PSMA_WORKER_JOBS=200 PSMA_WORKER_CANCELS=100 $(BIN)/python -m pytest Testing/Core/test_worker_study.py

# One click on each missed lesion of 60 synthetic studies on real organ maps; minutes. A form with two is part of test-core.
evaluate-clicks: $(VENV)/.testing
	@test -n "$(PSMA_TEST_DATA)" || (echo "PSMA_TEST_DATA must name the folder of test data with psma-organ-labels" && exit 1)
	$(BIN)/psma evaluate --interactive --protocol clicks --organ-maps "$(PSMA_TEST_DATA)/psma-organ-labels" \
		--count 60 --method $(or $(METHOD),growth) --to build/evaluate-clicks

# Training is killed, goes on, and its package is asked, for each kind of network: a minute on the CPU. CI runs it too.
train-smoke: $(VENV)/.testing
	$(BIN)/python Testing/train_smoke.py

# Does the Dice of networks go along with the diversity of the synthetic studies they learn from? An hour or two on the CPU; goes on after a stop.
diversity-study: $(VENV)/.testing
	@test -n "$(PSMA_TEST_DATA)" || (echo "PSMA_TEST_DATA must name the folder of test data with psma-organ-labels" && exit 1)
	$(BIN)/python Testing/Studies/diversity_and_dice.py $(or $(TO),build/diversity-study) \
		--organ-maps "$(PSMA_TEST_DATA)/psma-organ-labels"

# The network for PET on synthetic studies of another painter, on a real CT with labels: what it finds there that it was not trained on; minutes.
other-painter: $(VENV)/.testing
	@test -n "$(PSMA_TEST_DATA)" || (echo "PSMA_TEST_DATA must name the folder of test data with ct-totalsegmentator" && exit 1)
	$(BIN)/python Testing/Studies/another_painter.py build/other-painter/studies
	$(BIN)/psma evaluate build/other-painter/studies --lesions labels --no-surfaces --to build/other-painter/tables \
		--methods $(or $(METHODS),package:psma-pet-2@ct=false package:psma-pet-2 package:psma-pet-2@low_evidence=false package:psma-pet-2@organs=true$(comma)low_evidence=false rules suv3)

# Twelve random synthetic men on real organ maps, beside a table of published figures and those of 42 such men.
phantom-page: $(VENV)/.testing
	@test -n "$(PSMA_TEST_DATA)" || (echo "PSMA_TEST_DATA must name the folder of test data with psma-organ-labels" && exit 1)
	$(BIN)/python Testing/phantom_page.py --maps "$(PSMA_TEST_DATA)/psma-organ-labels" --men 42 --to build/phantom-page

screenshots: $(VENV)/.testing
	QT_QPA_PLATFORM=offscreen $(BIN)/python Testing/screenshots.py

# The same labels as nnunetv2 on networks that it trains for some steps; nnunetv2 has to be installed beside.
parity: $(VENV)/.testing
	PYTHONPATH=Testing/Parity $(BIN)/python -m pytest Testing/Parity -s

# Bring the catalogs of translations up to date with the texts in the code, and compile them.
translations: $(VENV)/.testing
	$(BIN)/python Testing/translations.py

clean:
	rm -rf $(VENV) demo-case

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' || \
		(echo "Python 3.10, 3.11 or 3.12 is needed: make PYTHON=python3.12 ..." && exit 1)
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --editable . --constraint constraints.txt
	touch $@

$(VENV)/.testing: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --editable '.[test]' --constraint constraints.txt
	touch $(VENV)/.runtime $@
