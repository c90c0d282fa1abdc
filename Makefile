# `make` prints what there is. The work is in scripts/, so that it also runs without make.
.DEFAULT_GOAL := help
.PHONY: help check build fault providers reindex fuzz bench scale up down

help: ## print the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

check: ## everything a change must pass: format, vet, scripts, and all tests on real servers with the race detector
	@scripts/check

build: ## static programs into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/ ./cmd/...

fault: ## the whole fault suite, on servers of its own; ARGS='-seed 7 -run Kills -v' goes to the tests
	@go test -race -count 1 -timeout 20m ./test/fault $(ARGS)

providers: ## a hundred uploads through each misbehaviour of a provider that docs/providers.md lists; ARGS='-run Behaviours/401 -v'
	@scripts/with-services go test -race -count 1 -timeout 30m ./test/providers $(ARGS)

reindex: ## all tests of re-indexing under traffic; ARGS='-run ModelChange -v' goes to the tests
	@scripts/with-services go test -race -count 1 -timeout 30m ./test/reindex $(ARGS)

fuzz: ## each fuzz target for FUZZTIME=30s
	@scripts/fuzz

bench: ## the figures of docs, on durable servers; ARGS='…' goes to the program
	@scripts/with-services --durable go run ./test/bench $(ARGS)

scale: ## how cost grows from N to 100 N, on durable servers, against the bounds of docs; ARGS='-n 1000 -only documents' goes to the program
	@scripts/with-services --durable go run ./test/scale $(ARGS)

up: ## start PostgreSQL, Redis and MinIO for tests: eval "$(make -s up)"
	@scripts/services up

down: ## stop and remove what `make up` started
	@scripts/services down
