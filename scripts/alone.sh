#!/usr/bin/env bash
# Runs a command so that nothing which it started outlives it, however it ends: switches, IPAM programs, mounts. As root, where the
# kernel allows it, in a pid and mount namespace of its own; else the command is just run.
# SIGINT reaches the command, which may clean up; SIGTERM ends everything at once.
set -uo pipefail

own=(unshare --pid --fork --kill-child --mount-proc)
if [ "$(id -u)" -ne 0 ] || ! "${own[@]}" true 2>/dev/null; then exec "$@"; fi

# A process group of its own: a terminal's SIGINT reaches us alone, and is handed on once.
set -m
# The inner shell is the namespace's init: it takes what is orphaned, and the kernel ends the rest with it.
setpriv --pdeathsig KILL "${own[@]}" sh -c '"$@"; exit $?' sh "$@" </dev/null &
child=$!
trap 'kill -INT -- "-$child"' INT
trap 'kill -KILL -- "-$child"' TERM HUP
while :; do
  status=0
  wait "$child" || status=$?
  # A trap ends a wait too.
  kill -0 "$child" 2>/dev/null || exit "$status"
done
