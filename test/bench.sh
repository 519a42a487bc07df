# What the benchmarks share: a lab of the guide's hosts, commands on them, and a stopwatch. It is sourced.
set -euo pipefail
cd "$(dirname "$0")/.."
go build -o bin/labctl ./test/lab/labctl
labctl() { bin/labctl --name bench "$@"; }
hosts=(k0s-ch-sion-1 k0s-at-vie-1 k0s-de-fra-1)
k0s=$(labctl k0s)
folder=bin/bench
rm -rf "$folder" && mkdir -p "$folder"
trap 'labctl down' EXIT

# bench_up: makes the lab and its cluster file.
bench_up() {
    labctl up "${hosts[@]}" haproxy:haproxy >&2
    config=$(labctl ssh-config)
    export SSH_KNOWN_HOSTS
    SSH_KNOWN_HOSTS=$(labctl known-hosts)
    test/cluster-file.sh bench "$k0s" >"$folder/cluster.yaml"
}

# on HOST COMMAND: one connection a host serves all commands, as for the plugins.
on() { ssh -F "$config" -o ControlMaster=auto -o ControlPath="$folder/%C" -o ControlPersist=10m "$@"; }

# disconnect: the next commands open their connections anew, as a plugin has to.
disconnect() {
    for host in "${hosts[@]}" haproxy; do on "$host" -O exit 2>/dev/null || true; done
}

ready() {
    until on "$1" 'cd /var/lib/k0s/pki && curl -sf --cacert ca.crt --cert admin.crt --key admin.key https://localhost:6443/readyz' >/dev/null 2>&1; do
        sleep 0.3
    done
}

# quiet: waits, a minute at most, until what was started before is over: this machine is idle for most of two seconds.
quiet() {
    local idle
    for _ in $(seq 30); do
        idle=$({ head -n 1 /proc/stat; sleep 2; head -n 1 /proc/stat; } | awk '
            { all = 0; for (i = 2; i <= 9; i++) all += $i }
            NR == 1 { before = all; idle = $5 }
            NR == 2 { print int(100 * ($5 - idle) / (all - before)) }')
        if [ "$idle" -ge 60 ]; then return; fi
    done
}

seconds() { # seconds COMMAND...: how long it took
    local start end
    start=$(date +%s.%N)
    "$@" >&2
    end=$(date +%s.%N)
    awk -v a="$start" -v b="$end" 'BEGIN { printf "%.2f", b - a }'
}
