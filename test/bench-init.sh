#!/usr/bin/env bash
# Times ha-init of three controllers beside the bare minimum by hand: upload, install, start, token, wait. By hand there
# is no load balancer, no check and no second try; ha-init does all it does.
source "$(dirname "$0")/bench.sh"

by_hand() {
    for host in "${hosts[@]}"; do
        {
            on "$host" 'cat >/usr/local/bin/k0s && chmod 755 /usr/local/bin/k0s' <"$k0s"
            address=$(labctl address "$host")
            on "$host" 'mkdir -p /etc/k0s && cat >/etc/k0s/k0s.yaml' <<YAML
spec:
  api: {address: $address}
  storage: {etcd: {peerAddress: $address}}
  network: {provider: custom, kubeProxy: {disabled: true}}
  workerProfiles: [{name: default, values: {failCgroupV1: false}}]
YAML
        } &
    done
    wait
    install='k0s install controller --enable-worker --no-taints -c /etc/k0s/k0s.yaml --ignore-pre-flight-checks --disable-components=coredns,metrics-server,update-prober'
    on "${hosts[0]}" "$install && k0s start"
    ready "${hosts[0]}"
    token=$(on "${hosts[0]}" 'k0s token create --role controller --expiry 10m')
    for host in "${hosts[@]:1}"; do
        on "$host" "cat >/etc/k0s/token && $install --token-file /etc/k0s/token && k0s start" <<<"$token"
        ready "$host"
    done
}

ha_init() { (cd "$folder" && ../kubectl-ha_init -f cluster.yaml --progress=plain); }

bench_up
hand=$(seconds by_hand)
labctl reset "${hosts[@]}" >&2
ours=$(seconds ha_init)
again=$(seconds ha_init)
awk -v hand="$hand" -v ours="$ours" -v again="$again" 'BEGIN {
    printf "by hand %.1f s, ha-init %.1f s: %.2f times; ha-init on the finished cluster %.1f s\n", hand, ours, ours / hand, again
}'
