# make reproduce   set up, then run the default study: results/quick, with the paper in results/quick/dimat.pdf;
#                  STUDY=FILE: another one
# make paper       set up, then paper/dimat.pdf, the paper over all studies, from archived records: a minute
# make test        set up, then run the tests
# make test-slurm  set up, then run the pipeline on a Slurm of one node (as root on Debian: installs its packages)
# make test-faults the tests of accidents, with all their cases: half an hour
# make test-studies  every study that is shipped, shrunken, up to its paper, others at random, and large networks
# make test-device  every method and option on a pretended second device
# make test-lowest  short tests with the lowest versions of dependencies that pyproject.toml allows
# make test-install  the wheel in an environment of its own, without extras: two minutes, most of them for torch
# make test-container  the steps of Containerfile in an empty folder, with a small study: three minutes
# make lock        constraints.txt, requirements/*.txt and environment.yml from pyproject.toml; LOCK=--upgrade: newest versions
# make wheel       dist/dimat-*.whl
# make layers      the table of docs/installing.md: what each extra adds, measured
# make docs        docs/results.md and the README's figure from the default study's results, docs/systems.md from archived ones,
#                  docs/tightness.md from the audit, docs/gallery.md
# make site        set up, then docs/ with a reference of what programs call as a site: build/site/index.html
# make lint        set up, then check style, types and workflow
# make clean       remove records, figures, tables and paper of the default study; its runs, in results/shared, stay
# make clean-all   remove all results, runs among them

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORES ?= all
STUDY ?= config/quick.yaml
TESTS ?= tests
SLURM_TESTS ?= tests/slurm
# What is archived, in the order in which the paper takes it: of a study in several, the first that is finished is shown.
ARCHIVES := paper-small paper-digits systems

.PHONY: install reproduce paper test test-slurm test-faults test-studies test-device test-lowest test-install test-container lock wheel layers docs site lint clean clean-all

install: $(VENV)/installed

# torch comes first and alone, so that whatever build of it the machine's package index offers (CPU or CUDA)
# is kept by everything after it.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dimat: error: Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

reproduce: install
	$(BIN)/snakemake --cores $(CORES) --configfile $(STUDY)

# Nothing is trained: what is drawn comes from the records in the archive.
paper: install
	rm -rf build/paper
	$(BIN)/dimat unpack $(ARCHIVES:%=paper/archive/%.tar.xz) --results build/paper
	$(BIN)/dimat report $(ARCHIVES:%=config/%) --results build/paper --output paper/dimat.pdf --processes 2

test: install
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(TESTS)

test-slurm: install
	DIMAT_SLURM=$${DIMAT_SLURM:-/tmp/dimat-slurm} $(BIN)/python -m pytest -v --durations 0 $(SLURM_TESTS)

test-faults: install
	$(BIN)/python -m pytest -n auto --long -rP tests/faults tests/communication/test_ranks.py tests/experiment/test_resume.py

test-studies: install
	$(BIN)/python -m pytest --long -v --durations 0 tests/workflow/test_studies.py tests/paper/test_any_study.py \
		tests/paper/test_report.py tests/paper/test_archive.py \
		tests/merging/test_matching.py tests/theory/claims/test_audit.py tests/experiment/test_resources.py \
		tests/data/test_data.py

test-device: install
	$(BIN)/python -m pytest -n auto --long tests/device

# `pip install -e` would change the versions again.
LOWEST := build/lowest/bin/python
test-lowest:
	$(PYTHON) -m venv build/lowest
	$(LOWEST) -m pip install --quiet --disable-pip-version-check $$(grep -E '^torch(vision)?==' constraints.txt)
	$(PYTHON) .ci/lowest.py > build/lowest.txt
	$(LOWEST) -m pip install --quiet --disable-pip-version-check -r build/lowest.txt pytest hypothesis
	$(LOWEST) -m pip install --quiet --disable-pip-version-check --no-deps -e .
	$(LOWEST) -m pytest -q tests/cli tests/experiment/test_config.py tests/merging/test_api.py tests/paper/test_tables.py \
		tests/paper/test_figures.py tests/topology/test_graphs.py tests/data/test_data.py

test-install: install
	$(BIN)/python -m pytest --long -v --durations 0 tests/packaging

test-container:
	WHEELS=$${PIP_FIND_LINKS:-} $(PYTHON) .ci/container.py

lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'
	PATH="build/lock/bin:$$PATH" $(PYTHON) .ci/lock.py $(LOCK)
	$(PYTHON) .ci/environment.py > environment.yml

wheel:
	$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

layers: wheel
	$(PYTHON) .ci/layers.py dist/dimat-*.whl

docs: reproduce
	$(BIN)/dimat page config/quick.yaml > docs/results.md.new && mv docs/results.md.new docs/results.md
	cp results/quick/figures/progress-digits-plain-5.svg docs/
	$(BIN)/dimat unpack paper/archive/systems.tar.xz --results build/systems
	$(BIN)/dimat systems --results build/systems
	$(BIN)/dimat unpack $(ARCHIVES:%=paper/archive/%.tar.xz) --results build/paper
	$(BIN)/dimat gallery --results build/paper
	$(BIN)/dimat tightness > docs/tightness.md.new && mv docs/tightness.md.new docs/tightness.md

# Sphinx is no part of `dev`: whoever only runs studies and tests does without.
site: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/python -m sphinx --quiet --jobs auto -W --keep-going -c docs/site . build/site

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --project pyproject.toml --pythonpath $(BIN)/python
	$(BIN)/snakefmt --check Snakefile workflow
	# Rules run the `dimat` of this environment: none has an environment of its own.
	! $(BIN)/snakemake --lint 2>&1 | grep '^ *\*' | grep -v 'Specify a conda environment or container for each rule'

clean:
	rm -rf results/quick

clean-all:
	rm -rf results
