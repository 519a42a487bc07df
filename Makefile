# kubectl-ha. `make help` lists the targets.

GO        ?= go
BIN       := bin
E2E_FLAGS ?=
IMAGE     ?= kubectl-ha/ha-syncer:latest
ARCHS     ?= amd64 arm64
LAB       := $(GO) run ./test/lab/labctl
PREFIX    ?= /usr/local
LINT      := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
# Everything is compiled in one way, that of the release, so that no package is compiled twice; but for the race detector.
export GOFLAGS := $(strip $(GOFLAGS) -trimpath)
export CGO_ENABLED := 0
# The plugins run on the user's machine, the rest on Linux: in the cluster and on HAProxy's hosts.
PLUGINS := $(addprefix ./,$(wildcard cmd/kubectl-*))
# Packages that are the product; the lab's stand-in for k0s is a module of its own.
PACKAGES  := ./cmd/... ./plugins/... ./syncer/... ./pkg/...

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the plugins, the syncer and its helper into bin/
	$(GO) build -ldflags '-s -w' -o $(BIN)/ $(PLUGINS)
	GOOS=linux $(GO) build -ldflags '-s -w' -o $(BIN)/ ./cmd/ha-syncer ./cmd/ha-lb-helper

.PHONY: install
install: build ## Install the plugins, what completes their arguments and the syncer's helper into PREFIX/bin (/usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BIN)/kubectl-* $(BIN)/ha-lb-helper completion/kubectl_complete-* $(DESTDIR)$(PREFIX)/bin

.PHONY: release-snapshot
release-snapshot: ## Make a release's archives for all platforms in dist/, and a krew index of them; publish nothing
	$(GO) run ./test/krew/snapshot -out dist

.PHONY: image
image: ## OCI archive of the syncer in bin/, for `k0s ctr images import` and /var/lib/k0s/images (IMAGE=name:tag)
	for arch in $(ARCHS); do GOOS=linux GOARCH=$$arch $(GO) build -ldflags '-s -w' \
		-o $(BIN)/image/ha-syncer-$$arch ./cmd/ha-syncer || exit 1; done
	$(GO) run ./manifests/image -o $(BIN)/ha-syncer.tar -name $(IMAGE) \
		$(foreach arch,$(ARCHS),linux/$(arch)=$(BIN)/image/ha-syncer-$(arch))

.PHONY: test
test: ## Everything that has to hold: lint, unit tests, real HAProxy, real krew, a browser, promtool, the lab
	$(MAKE) -j2 --output-sync=target lint unit haproxy krew browser alerts standin # some compile, some wait
	$(MAKE) e2e E2E_FLAGS='$(E2E_FLAGS) -short' # kills commands at fewer moments than all

.PHONY: unit
unit: ## Unit tests with the race detector
	$(GO) vet -tags e2e,haproxy,krew,browser,alerts,bench ./...
	GOOS=windows $(GO) vet $(PLUGINS) # of what is released, this is furthest from Linux
	CGO_ENABLED=1 $(GO) test -race $(PACKAGES) ./manifests/... ./test/...

.PHONY: haproxy
haproxy: ## Tests of pkg/haproxy and the helper against the real HAProxy of the lab's host image
	./test/haproxy.sh

.PHONY: krew
krew: ## Install the plugins by the real krew and kubectl (KREW_ARCHIVES=dist for those of release-snapshot)
	KREW_ARCHIVES=$(abspath $(KREW_ARCHIVES)) $(GO) test -tags krew -count=1 -v ./test/krew/

.PHONY: browser
browser: ## Look at the syncer's page in a headless Chromium
	./test/browser.sh

.PHONY: alerts
alerts: ## Have Prometheus' promtool judge the syncer's alerts, and try them
	./test/alerts.sh

.PHONY: standin
standin: ## Unit tests of the lab's stand-in for k0s
	cd test/lab/k0s && $(GO) test ./...

.PHONY: e2e
e2e: build ## End-to-end tests on the lab (K0S_BINARY=/path for a real k0s; E2E_FLAGS='-run TestName')
	$(GO) test -tags e2e -count=1 -timeout 60m -p 1 -parallel 1 -v $(E2E_FLAGS) ./test/lab/... ./test/e2e/...

.PHONY: fuzz
fuzz: ## Fuzz what the project parses, half a minute each
	./test/fuzz.sh

.PHONY: lint
lint: ## golangci-lint, with the architecture's directions
	$(LINT) run ./...

.PHONY: demo
demo: build ## Three controllers behind HAProxy, set up by kubectl ha-init on the lab
	./test/demo.sh up

.PHONY: demo-down
demo-down: ## Take the demo away
	./test/demo.sh down

.PHONY: recordings
recordings: build ## Record docs/recordings/*.svg anew, from real runs on the lab
	./test/recordings.sh

.PHONY: bench-init
bench-init: build ## Time ha-init beside the bare minimum done by hand
	./test/bench-init.sh

.PHONY: bench-help
bench-help: build ## Time the plugins' --help
	./test/bench-help.sh

.PHONY: bench-eject
bench-eject: build ## Time ha-eject and ha-join beside the bare commands done by hand
	./test/bench-eject.sh

.PHONY: bench-sync
bench-sync: build ## Time the syncer from the API to HAProxy, beside an edited file and a reload (about ten minutes)
	$(GO) test -tags e2e,bench -count=1 -timeout 60m -v -run TestBenchSync ./test/e2e/

.PHONY: bench-cost
bench-cost: build ## Measure the syncer's memory and CPU time beside 5,000 workers that report their status
	$(GO) test -tags e2e,bench -count=1 -timeout 60m -v -run TestBenchCost ./test/e2e/
