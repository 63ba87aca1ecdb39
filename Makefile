# Every target that a person may type has a line "name: ## help"; plain `make` prints them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Tools are pinned in modules of their own, so that their dependencies never reach the product's go.mod.
CONTROLLER_GEN := go tool -modfile=hack/tools/go.mod controller-gen
GOLANGCI_LINT  := go tool -modfile=hack/tools/golangci/go.mod golangci-lint
CRD_REF_DOCS   := go tool -modfile=hack/tools/crd-ref-docs/go.mod crd-ref-docs
HELM           := go tool -modfile=hack/tools/helm/go.mod helm
HELM_DOCS      := go tool -modfile=hack/tools/helm-docs/go.mod helm-docs
# Not `npm ci`: it insists on lock entries for the native parts of every platform, also of those that the
# registry at hand does not have. --no-save takes the locked versions and leaves the lock file alone.
NPM_MINIPROGRAM := npm --prefix miniprogram install --no-save --no-audit --no-fund

# Some tests build programs first, which takes minutes on a new machine; the default of go is 10 for a package.
TEST_FLAGS := -race -timeout=30m
# PKG narrows `make test` and `make lint`, for example `make test PKG=./signer/...`.
PKG ?= ./...

.PHONY: help
help: ## Print this list.
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Try
# A tenant of one's own: make dev FILE=tenant.yaml
FILE ?= config/samples/dev.yaml
.PHONY: dev
dev: ## Run a tenant without a cluster: emulated OSS, RAM and STS, and the real signer.
	@go run ./cmd/kubectl-uploads dev -f $(FILE) --data .cache/dev

.PHONY: plugin
plugin: ## Install the kubectl plugin "kubectl uploads" and its completion into GOBIN (docs/guides/kubectl-uploads.md).
	@go install ./cmd/kubectl-uploads
	@bin=$$(go env GOBIN); bin=$${bin:-$$(go env GOPATH)/bin}; \
	printf '#!/bin/sh\nexec kubectl-uploads __complete "$$@"\n' >"$$bin/kubectl_complete-uploads" && chmod +x "$$bin/kubectl_complete-uploads"; \
	case ":$$PATH:" in *":$$bin:"*) echo "installed; try: kubectl uploads status -A";; *) echo "installed in $$bin, which is not in PATH: add it, then try: kubectl uploads status -A";; esac

.PHONY: demo
demo: ## From nothing to an uploaded, recorded and delivered photo on a real cluster (KUBECONFIG + DEMO_REGISTRY: on yours).
	@go run ./hack/demo up

.PHONY: demo-down
demo-down: ## Remove everything that make demo made.
	@go run ./hack/demo down

##@ Check
.PHONY: test
test: ## Run every test with the race detector (PKG=./signer/... narrows it).
	$(if $(filter ./...,$(PKG)),export KUBEBUILDER_ASSETS; KUBEBUILDER_ASSETS=$$(go run -C hack/cluster . build --only control-plane | tail -1);) go test $(TEST_FLAGS) $(PKG)
	$(if $(filter ./...,$(PKG)),go test -C hack/cluster $(TEST_FLAGS) ./...)
	$(if $(filter ./...,$(PKG)),go test -C test/credentials $(TEST_FLAGS) ./...)
	$(if $(filter ./...,$(PKG)),npm --prefix test/page ci --no-audit --no-fund && npm --prefix test/page test)
	$(if $(filter ./...,$(PKG)),$(MAKE) test-miniprogram)

.PHONY: test-miniprogram
test-miniprogram: ## Test the mini-program SDK, its album page and the web page (Chromium), and its size; pictures in miniprogram/test/shots.
	$(NPM_MINIPROGRAM) && npm --prefix miniprogram test
	npm --prefix miniprogram/bench ci --no-audit --no-fund && npm --prefix miniprogram run size

.PHONY: test-sdk
test-sdk: ## Run other people's tests on the emulator: those inside the OSS Go SDK's module zip (V4, V1), and ali-oss from npm.
	go run ./test/sdkintegration
	go run ./test/sdkintegration -signature v1
	npm --prefix test/alioss ci --no-audit --no-fund && npm --prefix test/alioss test

.PHONY: lint
lint: ## Run the linters of .golangci.yml (PKG=./signer/... narrows it).
	$(GOLANGCI_LINT) run $(PKG)

.PHONY: generate
generate: ## Write all generated files anew: deepcopy, apply configurations, CRDs, RBAC, API reference, chart, types of the SDK.
	rm -rf api/v1alpha1/applyconfiguration
	$(CONTROLLER_GEN) object paths=./api/...
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:artifacts:config=config/crd
	$(CONTROLLER_GEN) applyconfiguration:omitToolVersion=true paths=./api/...
	$(if $(wildcard controllers),$(CONTROLLER_GEN) rbac:roleName=uploadtenant-manager paths=./controllers/... output:rbac:artifacts:config=config/rbac)
	$(CRD_REF_DOCS) --log-level WARN --config hack/tools/crd-ref-docs/config.yaml --templates-dir hack/tools/crd-ref-docs/templates \
		--source-path api/v1alpha1 --renderer markdown --output-path docs/spec/api.md
	go run ./hack/chartgen
	$(HELM_DOCS) --chart-search-root charts --log-level warning
	$(NPM_MINIPROGRAM) && npm --prefix miniprogram run generate

.PHONY: verify
verify: generate ## Fail when a generated file is not the one that is committed.
	@git diff --exit-code --stat || { echo "generated files are out of date: run 'make generate' and commit the result"; exit 1; }
	@test -z "$$(git status --porcelain)" || { git status --short; echo "the tree has files that git does not know: commit or remove them"; exit 1; }

##@ Cluster
.PHONY: cluster-up
cluster-up: ## Start a single-node Kubernetes on this machine (root; first build some minutes, then seconds).
	@go run -C hack/cluster . up

.PHONY: cluster-down
cluster-down: ## Stop it and leave nothing behind but the binary cache.
	@go run -C hack/cluster . down

.PHONY: envtest-assets
envtest-assets: ## Build kube-apiserver, etcd and kubectl; prints the folder for KUBEBUILDER_ASSETS.
	@go run -C hack/cluster . build --only control-plane

.PHONY: images
images: ## Build the images of manager, signer and emulator as tarballs in .cache/images, without Docker.
	@go run -C hack/images .

.PHONY: e2e
e2e: ## End-to-end tests on a real cluster, the same one as make demo.
	go test -tags=e2e -count=1 -timeout=45m -v ./test/e2e

##@ Measure
# All of them, one after the other, also when one is over a limit.
BENCHES := $(sort $(shell sed -n 's/^\(bench-[a-z]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST))))
.PHONY: bench
bench: ## Run every benchmark; figures as JSON lines in bench/out.
	@$(MAKE) -k -j1 $(BENCHES)

.PHONY: bench-controller
bench-controller: ## Measure the manager with 1,000 tenants next to plain API writes and cloud calls (5 minutes); TENANTS=5000 measures so many, too.
	@go run ./test/perf/controller -scale $(or $(TENANTS),0)

.PHONY: bench-emulator
bench-emulator: ## Measure form uploads of 1 KiB, 1 MiB and 1 GiB to the emulator next to a bare multipart handler.
	@go run ./test/perf/emulator

.PHONY: bench-sdk
bench-sdk: ## Measure the mini-program SDK: bytes beside other SDKs, 200 files over a 3G-like link (4 minutes).
	@$(NPM_MINIPROGRAM) >/dev/null && npm --prefix miniprogram/bench ci --no-audit --no-fund >/dev/null
	@npm --prefix miniprogram run --silent build >/dev/null && node miniprogram/bench/index.mjs

.PHONY: bench-signer
bench-signer: ## Measure the signer next to a bare handler; limits and their reasons in bench/limits.yaml.
	@go run ./test/perf/signer
