#!/bin/sh
# Lanes of tests by name: `lane.sh unit,property [vitest's own arguments]`.
set -eu
cd "$(dirname "$0")/.."
names=$1
shift
# Colours are for a terminal. vitest looks at its variables alone.
if [ ! -t 1 ] && [ -z "${FORCE_COLOR-}" ]; then export NO_COLOR=1; fi
for name in $(echo "$names" | tr , ' '); do set -- "$@" --project "$name"; done
PATH=$PWD/node_modules/.bin:$PATH exec bash scripts/alone.sh bun --bun node_modules/vitest/vitest.mjs run "$@"
