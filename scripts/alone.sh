#!/usr/bin/env bash
# Runs a command so that nothing it started outlives it, however it ends: switches, IPAM programs, mounts. As root, if the kernel
# allows it, the command runs in a pid and mount namespace of its own, with `--network` in a network namespace too; else it just runs.
# SIGINT reaches the command, which may clean up; SIGTERM ends everything at once.
set -uo pipefail

own=(unshare --pid --fork --kill-child --mount-proc)
up=true
if [ "${1-}" = --network ]; then
  shift
  own+=(--net)
  # kube-apiserver wants a default route.
  up='ip link set lo up && ip link add node0 type veth peer name node1 && ip address add 192.0.2.2/24 dev node0 &&
    ip link set node0 up && ip link set node1 up && ip route add default dev node0'
fi
if [ "$(id -u)" -ne 0 ] || ! "${own[@]}" true 2>/dev/null; then exec "$@"; fi

# A process group of its own: a terminal's SIGINT reaches only this shell, which passes it on once.
set -m
# The inner shell is the namespace's init: it adopts orphans, and when it ends, the kernel ends all the others.
setpriv --pdeathsig KILL "${own[@]}" sh -c "$up"' && "$@"; exit $?' sh "$@" </dev/null &
child=$!
trap 'kill -INT -- "-$child"' INT
trap 'kill -KILL -- "-$child"' TERM HUP
while :; do
  status=0
  wait "$child" || status=$?
  # A trap also ends a wait, so the child may still run.
  kill -0 "$child" 2>/dev/null || exit "$status"
done
