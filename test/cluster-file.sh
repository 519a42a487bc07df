#!/usr/bin/env bash
# Prints a cluster file for the guide's hosts of a lab: test/cluster-file.sh LAB K0S
set -euo pipefail
cd "$(dirname "$0")/.."
labctl() { bin/labctl --name "$lab" "$@"; }
lab=$1 k0s=$2
key=$(labctl key)
balancer=$(labctl address haproxy)

cat <<YAML
apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
metadata:
  name: $lab
spec:
  hosts:
YAML
for host in k0s-ch-sion-1 k0s-at-vie-1 k0s-de-fra-1; do
    cat <<YAML
    - role: controller+worker
      noTaints: true
      ssh: {address: $(labctl address "$host"), user: root, keyPath: $key}
      uploadBinary: true
      k0sBinaryPath: $k0s
      installFlags: ["--ignore-pre-flight-checks", "--disable-components=coredns,metrics-server,update-prober"]
YAML
done
cat <<YAML
  k0s:
    config:
      spec:
        api:
          externalAddress: $balancer
          sans: [$balancer]
        network: {provider: custom, kubeProxy: {disabled: true}} # the lab brings its own
        workerProfiles: [{name: default, values: {failCgroupV1: false}}]
---
apiVersion: kubectl-ha.io/v1alpha1
kind: LoadBalancer
metadata:
  name: control-plane
spec:
  hosts:
    - ssh: {address: $balancer, user: root, keyPath: $key}
YAML
