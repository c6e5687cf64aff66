# Shorthands: every recipe calls `cargo xtask`, where the work is described and tested.

# Lists the recipes.
default:
    @just --list

# Sets up what the tests need and runs all of them.
test *args:
    cargo xtask test {{args}}

# Checks the house rules.
tidy *args:
    cargo xtask tidy {{args}}

# Runs the whole gate.
ci:
    cargo xtask ci

# Runs the demo and demands moving prices and a clean stop.
smoke:
    cargo xtask smoke

# Runs the benchmarks and writes docs/BENCHMARKS.md.
bench *names:
    cargo xtask bench {{names}}

# Kills the gateway under load, again and again, and checks that nothing acknowledged is lost.
durability rounds="100":
    cargo xtask durability --rounds {{rounds}}

# Runs the fuzz targets, one after the other.
fuzz minutes="10" *targets:
    cargo xtask fuzz --minutes {{minutes}} {{targets}}

# Measures which lines the crates' own tests run.
coverage:
    cargo xtask coverage

# Changes the code, one place at a time, and shows which changes no test notices.
mutants *args:
    cargo xtask mutants {{args}}
