# With Go installed, nothing else is to be done by hand.
GO ?= go
PACKAGES ?= ./...
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# As the shipped program is built. The race detector needs it on: make test CGO_ENABLED=1, with GOFLAGS=-race.
CGO_ENABLED ?= 0
export CGO_ENABLED
LDFLAGS := -s -w -X main.version=$(VERSION)

.PHONY: help run build test test-long mutants lint bench bench-parts generate

help: ## what can be made
	@sed -nE 's/^([a-z-]+):[^=#]*## (.*)/  make \1@\2/p' $(MAKEFILE_LIST) | column -t -s @

run: build ## start everything on embedded defaults
	./bin/daybook serve

build: ## the program, bin/daybook
	$(GO) build -trimpath -ldflags "$(LDFLAGS)" -o bin/daybook ./cmd/daybook

# Skips and what tests log (figures, seeds) are shown too; all of the output is in bin/test.log.
test: SHELL := /bin/bash
test: ## everything that decides whether a change may land
	$(GO) vet $(PACKAGES)
	@mkdir -p bin
	@set -o pipefail; $(GO) test -vet=off -v -timeout 40m $(PACKAGES) 2>&1 | tee bin/test.log | grep --line-buffered -aE '^(ok|FAIL|panic|exit)|--- (FAIL|SKIP)|_test\.go:|SKIP' || \
	  { echo "what failed, from bin/test.log:"; awk 'NR == FNR { if (/^ *--- FAIL: /) failed[$$3]; next } /^=== / { on = $$3 in failed } on' bin/test.log bin/test.log | tail -n 500; \
	    echo "in short:"; awk -f .ci/failures.awk bin/test.log; exit 1; }

test-long: ## the heavy versions: the whole file killed in the middle, long outages, more seeds
	DAYBOOK_LONG=1 $(GO) test -timeout 3h -tags long ./...

mutants: ## each deliberate bug, and the test that notices it
	$(GO) test -count=1 -v ./internal/mutant

lint: ## golangci-lint
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run ./...

bench: build ## the system beside pgx and the disk: a table, and JSON in bin/bench.json; nothing is asserted
	./bin/daybook bench --out bin/bench.json

bench-parts: ## the packages' own benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

generate: ## what is generated from openapi.yaml and the events
	$(GO) generate ./...
