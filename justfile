# What developers run. `just` alone lists it.
set shell := ["bash", "-euo", "pipefail", "-c"]

_list:
    @just --list --unsorted

# Formatting, lints, and the rules between crates and migrations; under two minutes on a warm build
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo test --package portico-tests --test architecture --test migrations --locked --quiet

# All tests; those that need a server which is not installed are ignored by name. `just test -p portico-vault` is one crate
test *args="--workspace":
    cargo test --locked {{ args }}

# The portal with an identity provider, a gateway and a mail catcher; `just demo --check` walks through it
demo *args:
    cargo run --locked -- demo {{ args }}

# Every page in Chromium at 1280 and 390 pixels, into `target/screenshots`
screenshots:
    cargo test --locked --package portico --test journeys -- screenshots

# Measures Portico against its peers in 20 minutes, into docs/benchmarks.md; `just bench NAME` measures and prints one
bench *args:
    benches/peers/install
    cargo build --release --locked --package portico --package portico-benches
    PATH="$PWD/target/tools/bin:$PATH" target/release/portico-bench {{ args }}

# What must pass before a change lands; installs the real servers (Debian, as root)
ci:
    .ci/run

# `just ci`, then ten times as many seeds of faults
ci-long: ci
    PORTICO_FAULTS=1 cargo test --package portico --test faults --locked -- --long
