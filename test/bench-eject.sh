#!/usr/bin/env bash
# Times ha-eject and ha-join of one of three controllers beside the bare commands that a shell script runs in the fastest
# order that loses no request: HAProxy drains, k0s stops, a survivor removes the member, HAProxy forgets it, k0s resets, the
# objects go, HAProxy's file is edited. By hand nothing is awaited on the way or verified afterwards; the steps of ha-eject and
# ha-join that do no more than that are listed apart, as the drain of the Node is, and the ratio is of the rest: all steps that
# change something, and what comes before them (connections, the look at every host, the lock). REPETITIONS is how often, 3 by
# default.
source "$(dirname "$0")/bench.sh"
survivor=${hosts[0]} leaver=${hosts[2]}

# balancer: runs the runtime API's commands on stdin, one connection each.
balancer() { on haproxy 'while read -r line; do echo "$line" | socat - /var/lib/haproxy/kubectl-ha.sock; done'; }

# servers ADDRESS: the servers that HAProxy has there, as BACKEND/SERVER.
servers() { balancer <<<'show servers state' | awk -v at="$1" '$5 == at { print $2 "/" $4 }'; }

# use_new makes a file HAProxy's for its next start.
use_new='haproxy -c -q -W -f /etc/haproxy/new && mv /etc/haproxy/new /etc/haproxy/haproxy.cfg'

eject_by_hand() {
    local all object
    all=$(servers "$address")
    for server in $all; do echo "set server $server state drain"; done | balancer
    on "$leaver" 'k0s stop && systemctl disable k0scontroller'
    on "$survivor" "k0s etcd leave --peer-address $address"
    for server in $all; do
        echo "set server $server state maint"
        echo "shutdown sessions server $server"
        echo "set server $server addr 127.0.0.1 port 1"
    done | balancer
    on "$leaver" 'k0s reset; rm -rf /etc/cni /opt/cni /etc/k0s/k0s.yaml'
    for object in api/v1/nodes apis/autopilot.k0sproject.io/v1beta2/controlnodes apis/etcd.k0sproject.io/v1beta1/etcdmembers; do
        echo "url = https://localhost:6443/$object/$leaver"
    done | on "$survivor" 'cd /var/lib/k0s/pki && curl -s -X DELETE --cacert ca.crt --cert admin.crt --key admin.key -K - >/dev/null'
    on haproxy "sed 's/ $address:.*/ 127.0.0.1:1 disabled/' /etc/haproxy/haproxy.cfg >/etc/haproxy/new && $use_new"
}

join_by_hand() {
    local backend free port
    on "$leaver" 'cat >/etc/k0s/k0s.yaml' <"$folder/k0s.yaml"
    on "$survivor" 'k0s token create --role controller --expiry 10m' | on "$leaver" 'cat >/etc/k0s/token'
    on "$leaver" 'k0s install controller --enable-worker --no-taints -c /etc/k0s/k0s.yaml --token-file /etc/k0s/token --ignore-pre-flight-checks \
        --disable-components=coredns,metrics-server,update-prober && k0s start'
    ready "$leaver"
    while read -r backend port; do
        free=$(servers 127.0.0.1 | grep -m 1 "^$backend/")
        echo "set server $free addr $address port $port"
        echo "enable health $free"
        echo "set server $free state ready"
    done <<<"$ports" | balancer
    on haproxy "cp /root/haproxy.cfg /etc/haproxy/new && $use_new"
}

# ours COMMAND ARGUMENTS...: runs a plugin; what its steps took is left in steps.json, and in COMMAND.json for people.
ours() {
    (cd "$folder" && "../kubectl-$1" -f cluster.yaml --progress=json "${@:2}" 2>steps.json) || { cat "$folder/steps.json"; return 1; }
    cp "$folder/steps.json" "$folder/$1.json"
}

# steps PATTERN: how long the steps took whose titles match.
steps() {
    sed -n 's/.*"event":"step-done".*"title":"\([^"]*\)","seconds":\([^,}]*\).*/\2 \1/p' "$folder/steps.json" |
        awk -v pattern="$1" '{ took = $1; $1 = "" } substr($0, 2) ~ pattern { sum += took } END { printf "%.2f", sum }'
}

# before COMMAND: what its last run took before the first step: connections, the preflight and the lock.
before() { awk -v command="$1" -v all="$(steps .)" '$1 == command && $2 == "ours" { took = $3 } END { printf "%.2f", took - all }' "$folder/figures"; }

note() { echo "$*" >>"$folder/figures"; }

bench_up
address=$(labctl address "$leaver")
cp "$folder/cluster.yaml" "$folder/all.yaml"
ours ha_init
on "$leaver" 'cat /etc/k0s/k0s.yaml' >"$folder/k0s.yaml"
ports=$(balancer <<<'show servers state' | awk -v at="$address" '$5 == at { print $2, $19 }')
bin/kubectl-etcd_members -f "$folder/cluster.yaml" move-leader "$survivor" --yes >&2 || true # it may lead already
on "$leaver" 'cd / && tar -cf /root/pod-network.tar $(ls -d etc/cni opt/cni 2>/dev/null) --files-from /dev/null'
pod_network() { on "$leaver" 'tar -C / -xf /root/pod-network.tar'; } # a lab's host has one before it joins

for _ in $(seq "${REPETITIONS:-3}"); do
    on haproxy 'cp /etc/haproxy/haproxy.cfg /root/haproxy.cfg'
    disconnect
    quiet
    note eject hand "$(seconds eject_by_hand)"
    pod_network
    disconnect
    quiet
    note join hand "$(seconds join_by_hand)"
    quiet
    note eject ours "$(seconds ours ha_eject "$leaver" --yes --snapshot=etcd.db)"
    note eject before "$(before eject)"
    note eject drain "$(steps '^Cordon and drain')"
    note eject safety "$(steps '^(See that|Copy|Let clients finish|Verify)')"
    pod_network
    cp "$folder/all.yaml" "$folder/cluster.yaml"
    quiet
    note join ours "$(seconds ours ha_join)"
    note join before "$(before join)"
    note join drain 0
    note join safety "$(steps '^(Send connections|Verify)')"
done
sort -k 1,2 -k 3n "$folder/figures" | awk '
    { all[$1, $2, ++n[$1, $2]] = $3 }
    function median(what, of) { return all[what, of, int((n[what, of] + 1) / 2)] }
    END {
        split("eject join", commands, " ")
        for (i = 1; i <= 2; i++) {
            c = commands[i]
            rest = median(c, "ours") - median(c, "drain") - median(c, "safety")
            ratio = rest / median(c, "hand")
            printf "%s: by hand %.1f s; ha-%s %.1f s, of which %.1f s for the drain of the Node and %.1f s for safety (%s): the rest, %.1f s before the first step (connections, preflight, lock) among it, is %.2f times that by hand\n",
                c, median(c, "hand"), c, median(c, "ours"), median(c, "drain"), median(c, "safety"),
                c == "eject" ? "snapshot, newest connections, verification" : "health checks, verification",
                median(c, "before"), ratio
            if (ratio > 1.3) slow = 1
        }
        printf "medians of %d\n", n["eject", "hand"]
        exit slow
    }'
