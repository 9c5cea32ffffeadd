# Short names for the project's commands; `just` lists them. Everything here also works without just.

_default:
    @just --list

# Run the server; it needs no flags
run *flags:
    cargo run --release -- {{flags}}

# Run every test, with everything that the tests need; --extended adds the long ones
test *flags:
    cargo xtask test {{flags}}

# Check what every change must pass: format, lints, project rules, generated files
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo xtask tidy
    cargo xtask codegen --check

# Update the format and the generated files
fix:
    cargo fmt --all
    cargo xtask codegen

# Run the benchmark
bench *flags:
    cargo xtask bench {{flags}}

# Build the book into docs/book, and the documentation of the crates
docs:
    mdbook build docs
    cargo doc --workspace --no-deps

# Run all of CI, including the installation of packages
ci:
    .ci/run
