#!/bin/sh
# Lanes of tests by name: `lane.sh unit,property [vitest's own arguments]`.
set -eu
cd "$(dirname "$0")/.."
names=$1
shift
# Colours are for a terminal. vitest looks at its variables alone.
if [ ! -t 1 ] && [ -z "${FORCE_COLOR-}" ]; then export NO_COLOR=1; fi
# vitest lets an unknown name pass beside a known one, and takes no name for all of them.
if [ -z "$names" ]; then echo 'name a lane' >&2; exit 1; fi
for name in $(echo "$names" | tr , ' '); do
  grep -qF "lane('$name'," vitest.config.ts || { echo "there is no lane \"$name\"" >&2; exit 1; }
  set -- "$@" --project "$name"
done
PATH=$PWD/node_modules/.bin:$PATH exec bash scripts/alone.sh bun --bun node_modules/vitest/vitest.mjs run "$@"
