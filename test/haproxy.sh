#!/usr/bin/env bash
# Runs the tests of pkg/haproxy that need a real HAProxy inside the lab's host image, which has Debian's.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p bin
go build -o bin/labctl ./test/lab/labctl
image=$(bin/labctl image | awk '/haproxy/ { print $NF }')
go test -c -tags haproxy -o bin/haproxy.test ./pkg/haproxy
docker run --rm --label kubectl-ha.lab=haproxy-tests --tmpfs /tmp:exec \
    -v "$PWD/bin/haproxy.test:/haproxy.test:ro" -v "$PWD/pkg/haproxy/testdata:/work/testdata:ro" -w /work \
    "$image" /haproxy.test -test.v -test.timeout 10m
