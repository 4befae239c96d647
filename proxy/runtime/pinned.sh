# Sourced with $root set: `start PROGRAM ...` becomes a program on the pinned runtime, which stands in $node, or on the machine's own Node where npm has no
# pinned one for this platform.
node="$root/node_modules/.bin/node"
PATH="$root/node_modules/.bin:$PATH"
export PATH
if [ ! -x "$node" ]; then
  node=$(command -v node || true)
  if [ -z "$node" ] || ! "$node" -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 24 || (a === 24 && b >= 20) ? 0 : 1)'; then
    echo "bulkhead: no pinned Node for this platform, and the machine's is older than 24.20: install Node 24.20 or newer" >&2
    exit 1
  fi
fi
# Node keeps what it makes of the TypeScript here: a command starts in a quarter of the time, a node in half of it and with 30 MB less. Where the folder
# cannot be written, it does without.
: "${NODE_COMPILE_CACHE:=$root/node_modules/.cache/bulkhead}"
export NODE_COMPILE_CACHE
# One helper thread of V8 instead of four: they take the cores that workers run on. 1 to 3 % less CPU for a request over TLS.
# OpenSSL hears of us only where it comes with the pinned Node, and nobody else has told it something.
start() {
  case ${OPENSSL_CONF:+told}${NODE_OPTIONS:-} in
    told* | *--openssl-*) ;;
    *) if [ "$node" = "$root/node_modules/.bin/node" ]; then set -- "--openssl-config=$root/proxy/runtime/openssl.cnf" "$@"; fi ;;
  esac
  exec "$node" --v8-pool-size=1 "$@"
}
