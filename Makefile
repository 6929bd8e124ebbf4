# Everything a newcomer, a maintainer and CI run. Needs make and Python 3.11 or later with venv; nothing else.
#   make setup | demo | test | zoo | coverage | lint | format | slow | map | docs | pins | dist | release | clean

PYTHON ?= python3
JOBS ?= 2
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help setup demo zoo test quick coverage lint format map docs pins dist release slow clean

help:
	@sed -n '1,2p' Makefile

setup: $(READY)

# LOCKED=1 installs the packages by the hashes of .ci/requirements.txt first; what is left is torch and what builds us.
# Modules are compiled when they are first imported (--no-compile): that halves the time, and most never are.
# The stamp is touched last: an interrupted set-up starts over, a finished one costs nothing.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 11) else \
	  "dithead needs Python 3.11 or later, this is %d.%d; try: make setup PYTHON=python3.13" % v)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -z "$(LOCKED)" || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
	  --no-compile -r .ci/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt \
	  -e '.[dev]'
	@touch $(READY)

demo: $(READY)
	@$(BIN)/python examples/demo.py

# More than 200 odd files through generation, and what comes of each; the tests run a third of them.
zoo: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python tests/zoo/table.py

# Beside the tests, the linters and the types cost no time: mypy keeps one core busy for a minute.
test: $(READY)
	@$(MAKE) --no-print-directory -j2 lint quick

quick: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) -m "not slow"

# The quick tests again, with the share of src that they run: a table here, pages in out/coverage.
coverage: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) -m "not slow" -q --cov=dithead \
	  --cov-report=term:skip-covered --cov-report=html:out/coverage
	@echo "look at out/coverage/index.html"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The file map, from the first sentence of each file.
map: $(READY)
	$(BIN)/python docs/file_map.py

# The reference pages from the code, then the site in out/site; nothing is fetched.
docs: map
	$(BIN)/python docs/make_reference.py
	$(BIN)/python -c 'import zensical' 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/zensical build --clean --strict

# What is installed now becomes what is pinned: the local build tag of torch and this package itself left out.
# c2pa-python is on Linux, macOS and Windows in another patch version.
pins: $(READY)
	$(BIN)/python -m pip freeze --exclude-editable | sed -e 's/+[a-z0-9.]*$$//' \
	  -e 's/^c2pa-python==.*/c2pa-python>=0.38,<0.39/' > constraints.txt

# The wheel and the source archive, with their SHA-256; the same commit gives the same bytes.
dist: $(READY)
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --no-isolation --outdir dist .
	@cd dist && ../$(BIN)/python -c "import hashlib, pathlib; \
	  [print(hashlib.sha256(f.read_bytes()).hexdigest(), f) for f in sorted(pathlib.Path().iterdir())]"

# The distribution with its inventory, hashes and signature.
release: dist
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'cyclonedx-bom>=7,<8'
	$(BIN)/python .ci/release.py dist

slow: $(READY)
	$(BIN)/python -m pytest -m slow

clean:
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache out build dist
