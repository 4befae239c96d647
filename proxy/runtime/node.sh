#!/bin/sh
# Runs a program of this project on the pinned Node, after setting the project up if that is still to be done.
# It needs nothing but a POSIX shell, npm and any Node from 20 on: the pinned runtime comes with `npm ci`.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/../.." && pwd)
cd "$root"
stamp=node_modules/.bulkhead-lock
if ! cmp -s package-lock.json "$stamp"; then
  echo "bulkhead: installing the packages of package-lock.json (once) ..." >&2
  if ! npm ci --no-progress --loglevel=error >&2; then
    echo "bulkhead: npm ci failed; see its message above, mend it and run the same command again" >&2
    exit 1
  fi
  cp package-lock.json "$stamp"
fi
. "$root/proxy/runtime/pinned.sh"
start "$@"
