.DEFAULT_GOAL := help
.PHONY: help demo check test test-encrypted lint bench scale soak test-server test-postgres test-upgrade

# Integration tests without Temporal, mail servers and browsers.
INTEGRATION_TESTS = check_policy http log replay server settings sns start verify

# Stories wait most of the time: one more of them runs than there are processors.
AT_ONCE = RUST_TEST_THREADS=$$(($$(getconf _NPROCESSORS_ONLN) + 1))

help: ## Show this.
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST)

demo: ## Start everything on this machine, with two submissions to decide. Ctrl-C stops it.
	@scripts/demo

check: ## Check formatting, lints, structure and unit tests, in a minute, without network and servers.
	cargo fmt --all --check
	scripts/check-structure
	scripts/check-security
	cargo clippy --workspace --all-targets --locked -- --deny warnings
	cargo test --workspace --locked --quiet --lib --bins $(INTEGRATION_TESTS:%=--test %)

test: ## Run all tests, after installing what they need.
	@scripts/tools test
	cargo build --workspace --locked
	$(AT_ONCE) cargo test --workspace --locked --no-fail-fast
	COUNTERSIGN_TEST_ENCRYPTED=1 $(AT_ONCE) cargo test --workspace --locked --no-fail-fast --test stories -- $(ENCRYPTED)
	scripts/check-readme
	.tools/bin/python scripts/check-deploy
	@echo "The soak: users, kills and faults, and every answer checked against the histories."
	cargo run --quiet --locked --bin soak -- --short
	@echo "Its control: the same with a signaler that loses decisions, to see that they are found."
	cargo run --quiet --locked --bin soak -- --short --control
	@echo "The soak with an adversary, who has the whole namespace and no keys."
	cargo run --quiet --locked --bin soak -- --short --adversary
	@echo "All tests passed: unit tests, stories, the commands of README.md and docs/, the soaks and a control."

# A tenth of the stories, which meets payloads in every place: starts, signals, pages without a worker, failures,
# follow-ups, operators, continued runs, and callers in other languages.
ENCRYPTED = encrypted examples callers signals:: starts:: links_outlive operators with_every_worker_killed \
	more_signals_than_a_run_takes an_undelivered_outcome

test-encrypted: ## Run the stories with encrypted payloads: all, or those of STORIES.
	@scripts/tools test
	cargo build --workspace --locked
	COUNTERSIGN_TEST_ENCRYPTED=1 $(AT_ONCE) \
		cargo test --workspace --locked --no-fail-fast --test stories -- $(STORIES)

test-server: ## Run the stories against a Temporal server that runs already: ADDRESS=127.0.0.1:7233.
	@test -n "$(ADDRESS)" || { echo "Say which server: make test-server ADDRESS=127.0.0.1:7233" >&2; exit 1; }
	@scripts/tools test
	cargo build --workspace --locked
	scripts/test-server $(ADDRESS) $(STORIES)

test-postgres: ## Run a tenth of the stories against Temporal on PostgreSQL, after building its server with Go.
	@# The tenth needs no browser, and nothing of the examples.
	@scripts/tools $(if $(STORIES),test,soak)
	cargo build --workspace --locked --bin countersign-worker --bin countersign-signaler --test stories
	scripts/test-postgres $(STORIES)

test-upgrade: ## Upgrade from the latest release, or from REF, another commit, after building its worker and signaler.
	@scripts/tools test
	cargo build --workspace --locked
	scripts/test-upgrade $(REF)

lint: ## Check formatting, lints, documentation, licences, deployment, releases, alerts and dashboards.
	@cargo fmt --version >/dev/null && cargo clippy --version >/dev/null || \
		{ echo "Install rustfmt and Clippy: rustup component add rustfmt clippy" >&2; exit 1; }
	@scripts/tools lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --locked
	@# Crates without a license field have a licence file, which is read instead.
	PATH="$$PATH:$(CURDIR)/.tools/bin" cargo deny --locked check --allow no-license-field \
		licenses bans sources
	@# Known vulnerabilities; their database is fetched from GitHub.
	@PATH="$$PATH:$(CURDIR)/.tools/bin"; if cargo deny --locked fetch db >/dev/null 2>&1; then \
		cargo deny --locked check --disable-fetch advisories; \
	else echo "WARNING: known vulnerabilities were not looked up: github.com/RustSec cannot be reached" >&2; fi
	scripts/check-compose
	.tools/bin/python scripts/check-kubernetes
	@if test -x .tools/bin/actionlint; then .tools/bin/actionlint .github/workflows/*.yml; \
	else echo "WARNING: .github/workflows is not checked: install Go for scripts/tools lint" >&2; fi
	scripts/check-metrics

bench: ## Measure what Countersign costs, also beside workers in Python and TypeScript.
	@scripts/tools bench
	cargo build --release --locked --bins -p countersign-worker -p countersign-signaler
	cargo run --release --locked -p countersign-e2e --bin bench -- $(BENCH)

scale: ## Measure clicks and memory with up to 50,000 approvals waiting, for an hour (docs/SCALE.md).
	@scripts/tools soak
	cargo build --release --locked --bins -p countersign-worker -p countersign-signaler
	cargo run --release --locked -p countersign-e2e --bin bench -- scale $(SCALE)

soak: ## Kill, cut, freeze and attack everything under load for an hour (docs/SOAK.md).
	@scripts/tools soak
	cargo build --release --locked -p countersign-worker -p countersign-signaler -p countersign-soak
	@set -e; for run in $(or $(SEEDS),1 2 3); do \
		cargo run --release --locked --quiet --bin soak -- --seed $$run $(SOAK); done
	@echo "An adversary, who has the whole namespace and no keys."
	cargo run --release --locked --quiet --bin soak -- --adversary --seed $(firstword $(SEEDS) 1) $(SOAK)
	@echo "An adversary with the keys, to see that what is forged is found."
	cargo run --release --locked --quiet --bin soak -- --short --adversary --control
