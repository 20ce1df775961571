# tilec: `make demo` runs the main job on real input, `make test` runs every test.
# Both set up what they need on a Debian machine; elsewhere `make setup` says what to install.

CARGO ?= cargo
TILEC := target/release/tilec

.PHONY: help setup build demo test matrix lint fmt fuzz tools clean

help:
	@echo "make demo   build tilec and run attention on a real model's Q, K, V, checked against PyTorch"
	@echo "make test   every test of the workspace"
	@echo "make matrix every kernel in every type, head size and setting on the simulator; takes a quarter of an hour"
	@echo "make lint   formatting and clippy"
	@echo "make fuzz   200,000 seeded hostile inputs through every reader of text"
	@echo "make tools  install NVIDIA's ptxas and nvdisasm, for tilec emit --to sass"
	@echo "make setup  install LLVM 22 and a C linker where apt-get is at hand"

setup:
	@./.ci/setup

build: setup
	$(CARGO) build --release -p tilec

demo: build
	@kernels/demo/run $(TILEC)

test: setup
	$(CARGO) test --workspace
	@echo "all tests passed"

# One part of it: cargo run --release -p tilec-tests --example matrix -- causal tf32 D=256
matrix: setup
	$(CARGO) run --release -p tilec-tests --example matrix

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

fuzz: setup
	TILEC_FUZZ_CASES=200000 $(CARGO) test --release -p tilec-syntax -p tilec-tests -- fuzz

# From the wheels of PyPI, into a virtual environment where tilec looks for them; neither a GPU nor CUDA is needed.
tools:
	python3 -m venv target/tools
	target/tools/bin/pip install --quiet --no-deps nvidia-cuda-nvcc nvidia-cuda-nvdisasm

clean:
	$(CARGO) clean
