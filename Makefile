.DEFAULT_GOAL := help
.PHONY: help demo test lint bench soak

help: ## Show this.
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST)

demo: ## Start everything on this machine, with one submission to decide. Ctrl-C stops it.
	@scripts/demo

test: ## Run all tests, after installing what they need.
	@scripts/tools test
	cargo build --workspace --locked
	cargo test --workspace --locked --no-fail-fast
	scripts/check-readme
	cargo run --locked --bin soak -- --short
	@echo "The same with a signaler that loses decisions, which has to be noticed:"
	cargo run --locked --bin soak -- --short --control

lint: ## Check formatting, lints, documentation, licences and docker-compose.yml.
	@cargo fmt --version >/dev/null && cargo clippy --version >/dev/null || \
		{ echo "Install rustfmt and Clippy: rustup component add rustfmt clippy" >&2; exit 1; }
	@scripts/tools lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --locked
	@# Crates without a license field have a licence file, which is read instead.
	PATH="$$PATH:$(CURDIR)/.tools/bin" cargo deny --locked check --allow no-license-field \
		licenses bans sources
	scripts/check-compose

bench: ## Measure what Countersign costs over the bare Temporal calls.
	@scripts/tools bench
	cargo build --release --locked --bins -p countersign-worker -p countersign-signaler
	cargo run --release --locked -p countersign-e2e --bin bench

soak: ## Kill, cut and freeze everything under load for three quarters of an hour (docs/SOAK.md).
	@scripts/tools soak
	cargo build --release --locked -p countersign-worker -p countersign-signaler -p countersign-soak
	@set -e; for run in $(or $(SEEDS),1 2 3); do \
		cargo run --release --locked --quiet --bin soak -- --seed $$run $(SOAK); done
