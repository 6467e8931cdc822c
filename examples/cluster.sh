#!/usr/bin/env bash
# A cluster by hand: one manager, two servers, two workers, each a process of its own over TCP on this machine. Submits two jobs, waits, says why they had what they had, stops everything.
#   examples/cluster.sh [SLUICE]     SLUICE: the binary; default build/release/sluice
# --insecure-tcp: TCP has no keys in this version. On a real network, use it only where you trust everybody.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
sluice=${1:-$here/../build/release/sluice}
state=$(mktemp -d)
roles=()
stop() {
  # In this order, so that the manager hears the others say goodbye.
  for ((i = ${#roles[@]} - 1; i >= 0; --i)); do kill -TERM "${roles[i]}" 2>/dev/null || true; done
  wait "${roles[@]}" 2>/dev/null || true
  rm -rf "$state"
}
trap stop EXIT

port=${SLUICE_PORT:-7070}
export SLUICE_MANAGER=tcp://127.0.0.1:$port
"$sluice" manager --listen "$SLUICE_MANAGER" --state "$state" --servers 2 --insecure-tcp 2>"$state/manager.log" & roles+=($!)
for i in 1 2; do
  "$sluice" server --name "server-$i" --listen 'tcp://127.0.0.1:*' --insecure-tcp 2>"$state/server-$i.log" & roles+=($!)
  "$sluice" worker --name "worker-$i" --slots 1 --insecure-tcp 2>"$state/worker-$i.log" & roles+=($!)
done

"$sluice" submit "$here/two-jobs.yaml" --wait --insecure-tcp || { cat "$state"/*.log >&2; exit 1; }
"$sluice" explain --insecure-tcp
