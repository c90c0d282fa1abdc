# `make` prints the targets. The work is done in scripts/, which also run without make.
.DEFAULT_GOAL := help
.PHONY: help check build fault providers reindex fuzz bench scale up down

help: ## print the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

check: ## all checks a change must pass: format, vet, scripts, and all tests on real servers with the race detector
	@scripts/check

build: ## build static programs into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/ ./cmd/...

fault: ## run the complete fault suite, on its own servers; ARGS='-seed 7 -run Kills -v' is passed to the tests
	@go test -race -count 1 -timeout 20m ./test/fault $(ARGS)

providers: ## run a hundred uploads with each provider misbehaviour in docs/providers.md; ARGS='-run Behaviours/401 -v' is passed to the tests
	@scripts/with-services go test -race -count 1 -timeout 30m ./test/providers $(ARGS)

reindex: ## run all tests of re-indexing under traffic; ARGS='-run ModelChange -v' is passed to the tests
	@scripts/with-services go test -race -count 1 -timeout 30m ./test/reindex $(ARGS)

fuzz: ## run each fuzz target for FUZZTIME=30s
	@scripts/fuzz

bench: ## measure the figures of docs/performance.md, on durable servers; ARGS='…' is passed to the program
	@scripts/with-services --durable go run ./test/bench $(ARGS)

scale: ## measure how cost grows from N to 100 N, on durable servers, against the bounds in docs/scale.md; ARGS='-n 1000 -only documents' is passed to the program
	@scripts/with-services --durable go run ./test/scale $(ARGS)

up: ## start PostgreSQL, Redis and MinIO for tests: eval "$(make -s up)"
	@scripts/services up

down: ## stop and remove what `make up` started
	@scripts/services down
