PYTHON ?= python3
CASES ?= 5000
BIN := .venv/bin
READY := .venv/ready

.PHONY: help setup test lint types demo mutants fuzz clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(READY)  ## make .venv with everything the tests need

$(READY): pyproject.toml constraints.txt scripts/setup.sh
	scripts/setup.sh $(PYTHON)
	@touch $@

test: $(READY)  ## run the tests
	$(BIN)/python -m pytest -n 2 -m "not slow"

lint: $(READY)  ## check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)  ## check the types
	$(BIN)/mypy

demo: $(READY)  ## compile the digits example to C and Verilog and verify it
	$(BIN)/bitwright compile examples/digits/digits-w1a1.onnx --target c,verilog \
	    --output argmax --data examples/digits/heldout.npz -o build/digits
	$(BIN)/bitwright verify build/digits

mutants: demo  ## put wrong numbers into the tables of build/digits: the benches must fail
	$(BIN)/python -m bitwright.sim.mutate build/digits

fuzz: $(READY)  ## run the slow tests, with CASES random cases of each kind (5000)
	BITWRIGHT_FUZZ=$(CASES) $(BIN)/python -m pytest -n 2 -m slow --hypothesis-profile fuzz

clean:  ## remove what was built, but not .venv
	rm -rf build dist sim_build .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
