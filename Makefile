# Two commands set everything up by themselves: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Spinning OpenMP threads make a step several times slower on a busy machine.
export OMP_WAIT_POLICY ?= PASSIVE
export TOKENIZERS_PARALLELISM ?= false
# Processes that `make test` runs its files in.
JOBS ?= 2

.PHONY: demo test check bench proof slow clean

$(VENV)/.pip:
	$(PYTHON) -c 'import sys; sys.exit("error: Python %s found, 3.11 or newer needed; set PYTHON=python3.11" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25"
	touch $@

$(VENV)/.train: $(VENV)/.pip pyproject.toml constraints.txt
	@echo "installing trueline[train] (about 2 minutes the first time)"
	$(PIP) -e ".[train]"
	touch $@

$(VENV)/.dev: $(VENV)/.train
	@echo "installing trueline[dev]"
	$(PIP) -e ".[train,dev]"
	touch $@

demo: $(VENV)/.train
	$(BIN)/trueline demo $(DEMO_FLAGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest tests -n $(JOBS) --dist loadfile -m "not slow and not browser and not invariant" -rs

slow: $(VENV)/.dev
	$(BIN)/python -m pytest tests -n $(JOBS) --dist loadfile -m "slow or browser or invariant" -rs --durations=25

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	@for script in bench/*.py; do $(BIN)/python $$script || exit 1; done

# The whole loop on a model of yours, with its report: make proof MODEL=path-or-hub-name [RUN=run.yaml]
RUN ?= src/trueline/shipped/charters/harbor_bank/run.yaml
proof: $(VENV)/.train
	@test -n "$(MODEL)" || { echo "error: MODEL is not set, expected a model folder or hub name; run make proof MODEL=./my-model"; exit 64; }
	$(BIN)/trueline align "$(RUN)" --model "$(MODEL)" --out runs/proof

clean:
	rm -rf $(VENV) runs
