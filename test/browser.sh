#!/usr/bin/env bash
# Tests of what people see in a browser, in a headless Chromium, which is installed where there is none (Debian, as root).
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v chromium >/dev/null; then
    apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium >/dev/null
fi
go test -tags browser -count=1 -run InABrowser -v ./syncer/
