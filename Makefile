# telemetryd: what to do with a checkout. `make` lists it.
# None of it needs anything but Go, Node with npm, and Debian's own tools.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
# What telemetryd is started with by `make run`, such as ARGS="--listen :9000".
ARGS ?=

export TELEMETRYD_DATA_DIR ?= $(CURDIR)/data

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: db
db: ## get a PostgreSQL with TimescaleDB for this checkout, once
	@scripts/db.sh

.PHONY: build
build: ## build bin/telemetryd
	@[[ -x bin/telemetryd ]] || echo "build: compiling telemetryd and its modules (the first time takes minutes)" >&2
	@CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/telemetryd

.PHONY: run
run: ## start telemetryd on its own database, kept in data/, with a demo
	@$(MAKE) --no-print-directory --jobs=2 db build # fetching one leaves the processor to the other
	@scripts/db.sh exec bin/telemetryd serve --demo $(ARGS)

.PHONY: vendor
vendor: ## copy the page's libraries from npm into web/vendor
	@scripts/vendor.sh

.PHONY: test
test: db ## check the code and run every test
	@scripts/test.sh

# How long `make fuzz` tries each target.
FUZZTIME ?= 30s

.PHONY: fuzz
fuzz: ## try every fuzz target for FUZZTIME
	@git grep -o -E '^func Fuzz\w+' -- '*_test.go' | sed -E 's#/[^/]*:func # #' | while read -r dir name; do \
		go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "./$$dir"; \
	done # shortening what was found, for up to a minute each, leaves no time to find more

.PHONY: bench
bench: db build ## measure ingest and reads against plain \copy
	@CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/telemetryd-bench
	@scripts/db.sh exec bin/telemetryd-bench $(ARGS)

.PHONY: chaos
chaos: db build ## break everything around three instances and count what is lost
	@CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/telemetryd-chaos
	@TELEMETRYD_PG_BINDIR="$${TELEMETRYD_PG_BINDIR:-$$PWD/.cache/pg/bin}" bin/telemetryd-chaos $(ARGS)

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, who imports what
	@scripts/test.sh lint

.PHONY: fmt
fmt: ## format the code
	@gofmt -w $$(git ls-files '*.go')

.PHONY: clean
clean: ## remove what was built and fetched; your data stays in data/
	@rm -rf bin .cache test/*/node_modules
