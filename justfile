# Short names for the project's commands; `just` lists them. Everything here also works without just.

_default:
    @just --list

# Run the server; without flags it needs nothing else
run *flags:
    cargo run --release -- {{flags}}

# Run every test, with whatever they need; --extended adds what takes long
test *flags:
    cargo xtask test {{flags}}

# What has to hold before a change is sent: format, lints, rules of the house, generated files
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo xtask tidy
    cargo xtask codegen --check

# Bring format and generated files up to date
fix:
    cargo fmt --all
    cargo xtask codegen

# Measure speed
bench *flags:
    cargo xtask bench {{flags}}

# Build the book into docs/book, and the documentation of the crates
docs:
    mdbook build docs
    cargo doc --workspace --no-deps

# All of CI, packages included
ci:
    .ci/run
