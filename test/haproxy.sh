#!/usr/bin/env bash
# Runs the tests that need a real HAProxy inside the lab's host image, which has Debian's. Arguments go to the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p bin
go build -o bin/labctl ./test/lab/labctl
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/ ./cmd/ha-lb-helper
image=$(bin/labctl image | awk '/haproxy/ { print $NF }')
for package in haproxy lbhelper; do
    go test -c -tags haproxy -o "bin/$package.test" "./pkg/$package"
    docker run --rm --label kubectl-ha.lab=haproxy-tests --tmpfs /tmp:exec -e HA_LB_HELPER=/ha-lb-helper \
        -v "$PWD/bin/$package.test:/test:ro" -v "$PWD/bin/ha-lb-helper:/ha-lb-helper:ro" \
        -v "$PWD/pkg/haproxy/testdata:/src/testdata:ro" -w /src \
        "$image" /test -test.v -test.timeout 10m "$@"
done
