#!/bin/sh
# The bulkhead command: the pinned Node, running proxy/main.ts. `exec` keeps one process, so signals reach it.
set -eu
self=$0
while [ -L "$self" ]; do
  link=$(readlink "$self")
  case $link in /*) self=$link ;; *) self=$(dirname -- "$self")/$link ;; esac
done
root=$(CDPATH= cd -P -- "$(dirname -- "$self")/../.." && pwd)
. "$root/proxy/runtime/pinned.sh"
start "$root/proxy/main.ts" "$@"
