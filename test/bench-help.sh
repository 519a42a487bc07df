#!/usr/bin/env bash
# Times each plugin's --help, and fails where the median of 21 runs is 60 ms or more: that is how long a key of completion takes
# at least.
set -euo pipefail
cd "$(dirname "$0")/.."
for plugin in bin/kubectl-*; do
    for _ in $(seq 21); do
        start=$EPOCHREALTIME
        "$plugin" --help >/dev/null
        end=$EPOCHREALTIME
        echo $(((${end/./} - ${start/./}) / 1000))
    done | sort -n | sed -n 11p | {
        read -r median
        echo "$plugin --help: $median ms"
        [ "$median" -lt 60 ]
    }
done
