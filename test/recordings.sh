#!/usr/bin/env bash
# Records docs/recordings/*.svg from real runs on a lab of its own: test/recordings.sh
set -euo pipefail
cd "$(dirname "$0")/.."
go build -o bin/labctl ./test/lab/labctl
go build -o bin/recordings ./test/recordings
labctl() { bin/labctl --name recordings "$@"; }
folder=bin/recorded
record() { # record NAME [FLAGS] COMMAND...
    bin/recordings -dir "$folder" -o "docs/recordings/$1.svg" "${@:2}"
}

k0s=$(labctl k0s)
rm -rf "$folder" && mkdir -p "$folder" docs/recordings
trap 'labctl down' EXIT
labctl up guide
export SSH_KNOWN_HOSTS
SSH_KNOWN_HOSTS=$(labctl known-hosts)
test/cluster-file.sh recordings "$k0s" >"$folder/cluster.yaml"

record ha-init 'kubectl ha-init -f cluster.yaml'
(sleep 5 && labctl freeze k0s-de-fra-1 && sleep 10 && labctl thaw k0s-de-fra-1) &
record etcd-members -interrupt 26s 'kubectl etcd-members -f cluster.yaml --timeout 2s --watch'
wait
record ha-eject 'kubectl ha-eject k0s-de-fra-1 -f cluster.yaml --yes' 'kubectl etcd-members -f cluster.yaml'
