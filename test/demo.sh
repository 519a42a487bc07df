#!/usr/bin/env bash
# The demo: the guide's hosts on this machine, made a highly available control plane by kubectl ha-init.
#   test/demo.sh up      make it; run again, it changes nothing
#   test/demo.sh down    take it away
set -euo pipefail
cd "$(dirname "$0")/.."
go build -o bin/labctl ./test/lab/labctl
labctl() { bin/labctl --name demo "$@"; }
folder=bin/demo

case "${1:-}" in
up)
    k0s=$(labctl k0s)
    labctl status >/dev/null 2>&1 || labctl up guide
    mkdir -p "$folder"
    test/cluster-file.sh demo "$k0s" >"$folder/cluster.yaml"
    (
        export SSH_KNOWN_HOSTS
        SSH_KNOWN_HOSTS=$(labctl known-hosts)
        cd "$folder"
        ../kubectl-ha_init -f cluster.yaml
    )
    echo "Have a look: kubectl --kubeconfig $folder/kubeconfig get nodes,etcdmembers   http://$(labctl address haproxy):9000"
    ;;
down)
    labctl down
    rm -rf "$folder"
    ;;
*)
    echo "usage: $0 up|down" >&2
    exit 2
    ;;
esac
