#!/usr/bin/env bash
# Tests of the alerts by Prometheus' promtool, which is taken out of its package where there is none (Debian).
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:$PWD/bin/prometheus
if ! command -v promtool >/dev/null; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    # In a folder of its own, apt-get needs no root and waits for no other one.
    apt=(apt-get -q -o "Dir::State=$work" -o "Dir::Cache=$work" -o APT::Sandbox::User=)
    (cd "$work" && "${apt[@]}" update && "${apt[@]}" download prometheus) >/dev/null
    dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -xO ./usr/bin/promtool >"$work/promtool"
    install -D "$work/promtool" bin/prometheus/promtool
fi
go test -tags alerts -count=1 -run Alert -v ./manifests/
