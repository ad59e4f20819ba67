# `make` lists the targets. Everything here also works without make: the scripts do the work.

.DEFAULT_GOAL := help
SHELL := /bin/bash
export PATH := $(PATH):/usr/local/go/bin

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# Static programs without paths of this machine; the version stands in for the stamp of git.
GO_BUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: setup build images ## start SecureClaw on this machine, installing what is missing; chat in a terminal
	@if [ -t 0 ]; then exec bin/secureclaw up --chat; else exec bin/secureclaw up; fi

.PHONY: test
test: ## everything CI runs: make check, and the tests against a real Docker engine
	@scripts/setup.sh --test
	@images/build.sh
	@scripts/check.sh --docker

.PHONY: check
check: ## gofmt, vet, staticcheck, govulncheck, tidy, and the tests that need no Docker
	@scripts/check.sh

.PHONY: bench
bench: setup build images ## measure; docs/benchmarks.md explains the figures
	@scripts/bench.sh

.PHONY: chaos
chaos: setup images ## kill processes at random, a thousand times, and check that nothing is lost or done twice
	@scripts/chaos.sh

.PHONY: build
build: ## build bin/secureclaw and the executors
	@mkdir -p bin
	@$(GO_BUILD) -o bin/ ./cmd/...

.PHONY: images
images: setup ## build the executor images, if anything in them has changed
	@images/build.sh

.PHONY: dev
dev: setup ## build and restart on every change
	@scripts/dev.sh

.PHONY: clean
clean: ## remove what was built here (images stay: docker rmi secureclaw/executor-shell secureclaw/executor-file secureclaw/executor-web)
	rm -rf bin

.PHONY: setup
setup:
	@scripts/setup.sh
