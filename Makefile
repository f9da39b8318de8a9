# Banyan. `make help` lists the targets. Needs Go, a C compiler and make; `make peers` also Python,
# `make proto` also protoc.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# One set of flags for builds and tests: the kernels take a compiler minutes, and are compiled once.
GOFLAGS ?= -trimpath
export GOFLAGS

GO      ?= go
PYTHON  ?= python3
PROTOC  ?= protoc
SHARED  ?=
HOSTILE ?= 1000000
ARCH    ?= 80,90
VERSION := $(shell git describe --always --dirty --tags 2>/dev/null || echo unknown)

# Pinned tools; `go run` builds them in the module cache, outside go.mod.
STATICCHECK        := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK        := golang.org/x/vuln/cmd/govulncheck@v1.9.0
PROTOC_GEN_GO      := google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
PROTOC_GEN_GO_GRPC := google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2

# Left out of -race: the C kernels (the detector sees Go only) and the tests of whole processes
# (their binary is built without it).
RACE_OUT := /worker/kernel/cpu$$|/test/cluster$$

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## bin/banyan, the one binary
	$(GO) build -ldflags '-X main.Version=$(VERSION)' -o bin/banyan ./cmd/banyan

.PHONY: s3server
s3server: bin/s3server ## bin/s3server, for the demo and the tests

bin/s3server: $(wildcard tools/s3server/*.go) tools/s3server/go.mod tools/s3server/go.sum
	cd tools/s3server && $(GO) build -o ../../bin/s3server .

.PHONY: test
test: s3server ## all tests, then the Go parts again with the race detector
	BANYAN_S3SERVER='$(CURDIR)/bin/s3server' $(GO) test -timeout 15m ./...
	BANYAN_S3SERVER='$(CURDIR)/bin/s3server' $(GO) test -race -timeout 10m \
		$$($(GO) list ./... | grep -Ev '$(RACE_OUT)')

.PHONY: matrix
matrix: ## the whole reproducibility matrix: one digest a class of kernels and precision
	BANYAN_MATRIX=all $(GO) test -count=1 -v -timeout 60m -run ReproducibilityMatrix ./worker/train

.PHONY: cubins
cubins: ## bin/cubins: the CUDA kernels compiled ahead of time (ARCH=80,90; needs NVRTC, no GPU)
	$(GO) run ./internal/gen/cubins -o bin/cubins -arch '$(ARCH)' $(if $(CUDA_PATH),-cuda-path '$(CUDA_PATH)')

.PHONY: gpu-check
gpu-check: ## check this host's GPU: kernels' bits and speed; a table and gpu-check.json
	sh scripts/gpu-check.sh gpu-check.json '$(CUDA_PATH)'

.PHONY: gpucheck
gpucheck: ## bin/gpucheck, to check a host with a GPU and without Go
	$(GO) build -o bin/gpucheck ./internal/gpucheck

.PHONY: demo
demo: build s3server ## the whole mission on this machine, in .demo/
	$(GO) build -o bin/demo ./examples/demo
	@bin/demo

.PHONY: ziya
ziya: build ## examples/ziya: a vocabulary grows, with and without the old language; draws docs/ziya.svg
	sh scripts/ziya.sh bin/banyan $(PYTHON)

.PHONY: clean-demo
clean-demo: ## remove .demo/ and .ziya/
	rm -rf .demo .ziya

.PHONY: bench
bench: ## benchmarks of every package
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: bench-ranks
bench-ranks: .venv/installed ## two ranks against one, reproducible against fast sums, both against PyTorch
	BANYAN_BENCH_PYTHON=$(CURDIR)/.venv/bin/python $(GO) test -run '^$$' -bench 'TwoRanks/./.*/ZERO1' -benchtime 1x -timeout 0 ./worker/train

.PHONY: peers
peers: build .venv/installed ## compare with transformers, tokenizers, pyarrow (.demo/export too, if there)
	sh scripts/peers.sh .venv/bin/python bin/banyan .demo/export $(HOSTILE) $(SHARED)

.PHONY: bench-peers
bench-peers: s3server .venv/installed ## speed against PyTorch, OpenBLAS, Gloo; with SHARED tokenizers, readers
	$(GO) build -o bin/bench ./internal/bench
	@.venv/bin/python scripts/bench_peers.py bin/bench $(if $(QUICK),--quick) $(BENCH_FLAGS)
	@.venv/bin/python scripts/bench_collective.py bin/bench $(if $(QUICK),--quick)
	@test -z '$(SHARED)' || HF_HUB_OFFLINE=1 .venv/bin/python scripts/bench_encode.py bin/bench '$(SHARED)'
	@test -z '$(SHARED)' || .venv/bin/python scripts/bench_reader.py bin/bench bin/s3server '$(SHARED)'

.venv/installed: scripts/requirements.txt scripts/requirements-nodeps.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r scripts/requirements.txt
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		-r scripts/requirements-nodeps.txt
	touch $@

.PHONY: arm64
arm64: ## the kernels and the model on arm64, under emulation (needs a cross compiler and qemu)
	GO='$(GO)' sh scripts/arm64.sh

.PHONY: clang
clang: ## the kernels, compiled by clang
	CC=clang $(GO) test ./worker/kernel/cpu

.PHONY: conformance
conformance: ## tests against real tokenizers and texts: make conformance SHARED=FOLDER
	@test -d '$(SHARED)/data' || { echo 'conformance: SHARED="$(SHARED)" has no folder data;' \
		'run make conformance SHARED=FOLDER' >&2; exit 2; }
	BANYAN_SHARED='$(abspath $(SHARED))' $(GO) test -count=1 -run Conformance \
		$$(grep -rl --include='*_test.go' BANYAN_SHARED . | xargs -n 1 dirname | sort -u)

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, govulncheck
	@bad=$$(git ls-files -co --exclude-standard -- '*.go' | xargs gofmt -l); \
		test -z "$$bad" || { echo "not as gofmt writes it:"; echo "$$bad"; exit 1; }
	$(GO) vet ./...
	cd tools/s3server && $(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	sh scripts/vulncheck.sh $(GO) $(GOVULNCHECK)

.PHONY: proto
proto: ## regenerate proto/ (needs protoc)
	GOBIN='$(CURDIR)/bin/proto' $(GO) install $(PROTOC_GEN_GO)
	GOBIN='$(CURDIR)/bin/proto' $(GO) install $(PROTOC_GEN_GO_GRPC)
	PATH='$(CURDIR)/bin/proto':"$$PATH" $(PROTOC) -I proto \
		--go_out=. --go_opt=module=github.com/banyan-train/banyan \
		--go-grpc_out=. --go-grpc_opt=module=github.com/banyan-train/banyan \
		proto/banyan/v1/*.proto
