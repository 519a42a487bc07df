#!/usr/bin/env bash
# Fuzzes every fuzz test of the product, FUZZTIME each (default 30s).
set -euo pipefail
cd "$(dirname "$0")/.."
for package in $(go list ./pkg/... ./plugins/...); do
    for name in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
        echo "== $package $name"
        go test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-30s}" -fuzzminimizetime 10x "$package"
    done
done
