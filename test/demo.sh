#!/usr/bin/env bash
# The demo: the guide's hosts on this machine, made a highly available control plane by kubectl ha-init.
#   test/demo.sh up      make it; run again, it changes nothing
#   test/demo.sh down    take it away
set -euo pipefail
cd "$(dirname "$0")/.."
labctl() { go run ./test/lab/labctl --name demo "$@"; }
folder=bin/demo

case "${1:-}" in
up)
    go build -o bin/labctl ./test/lab/labctl
    k0s=$(bin/labctl k0s)
    bin/labctl --name demo status >/dev/null 2>&1 || bin/labctl --name demo up guide
    mkdir -p "$folder"
    key=$(bin/labctl --name demo key)
    address() { bin/labctl --name demo exec "$1" -- hostname -I | cut -d' ' -f1; }
    balancer=$(address haproxy)
    {
        cat <<YAML
apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
metadata:
  name: demo
spec:
  hosts:
YAML
        for host in k0s-ch-sion-1 k0s-at-vie-1 k0s-de-fra-1; do
            cat <<YAML
    - role: controller+worker
      noTaints: true
      ssh: {address: $(address "$host"), user: root, keyPath: $key}
      uploadBinary: true
      k0sBinaryPath: $k0s
YAML
        done
        cat <<YAML
  k0s:
    config:
      spec:
        api:
          externalAddress: $balancer
          sans: [$balancer]
---
apiVersion: kubectl-ha.io/v1alpha1
kind: LoadBalancer
metadata:
  name: control-plane
spec:
  hosts:
    - ssh: {address: $balancer, user: root, keyPath: $key}
YAML
    } >"$folder/cluster.yaml"
    cd "$folder"
    SSH_KNOWN_HOSTS=$(../labctl --name demo known-hosts) ../kubectl-ha_init -f cluster.yaml --write-kubeconfig kubeconfig
    echo "Have a look: kubectl --kubeconfig $folder/kubeconfig get nodes,etcdmembers    http://$balancer:9000"
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
