#!/bin/sh
# Lanes of tests by name: `lane.sh unit,property [vitest's own arguments]`.
set -eu
cd "$(dirname "$0")/.."
names=$1
shift
# Colours are for a terminal, but vitest looks only at variables.
if [ ! -t 1 ] && [ -z "${FORCE_COLOR-}" ]; then export NO_COLOR=1; fi
# vitest ignores an unknown name beside a known one, and runs every lane if there is no name.
if [ -z "$names" ]; then echo 'name a lane' >&2; exit 1; fi
for name in $(echo "$names" | tr , ' '); do
  grep -qF "lane('$name'," vitest.config.ts || { echo "there is no lane \"$name\"" >&2; exit 1; }
  set -- "$@" --project "$name"
done
# A whole node makes a bridge and a veth for each pod: they go with the network namespace.
case ",$names," in *,node,*) network=--network ;; *) network= ;; esac
PATH=$PWD/node_modules/.bin:$PATH exec bash scripts/alone.sh $network bun --bun node_modules/vitest/vitest.mjs run "$@"
