# shellcheck shell=bash
# Servers on loopback, started here and stopped by pid. Sourced, never run.

SERVICES=()

# stop_services: the last one started first.
stop_services() {
    local i
    for ((i = ${#SERVICES[@]} - 1; i >= 0; i--)); do
        stop_pid "${SERVICES[i]}"
    done
    SERVICES=()
}

# start LOG CMD…: in the background; stop_services ends it.
start() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 </dev/null &
    SERVICES+=($!)
}

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# start_registry DIRECTORY PORT [HTPASSWD [ADDRESS]]: a registry that keeps its blobs in DIRECTORY; on loopback, or ADDRESS.
start_registry() {
    local dir=$1 port=$2 htpasswd=${3:-} address=${4:-127.0.0.1}
    mkdir -p "$dir/blobs"
    {
        echo "version: 0.1"
        echo "log: { level: warn }"
        echo "storage: { filesystem: { rootdirectory: $dir/blobs }, delete: { enabled: true } }"
        echo "http: { addr: $address:$port }"
        [ -z "$htpasswd" ] || echo "auth: { htpasswd: { realm: lowtide, path: $htpasswd } }"
    } >"$dir/config.yml"
    start "$dir/log" docker-registry serve "$dir/config.yml"
    wait_until 20 port_answers "$port" || {
        tail -n 10 "$dir/log" >&2
        die "the registry on port $port did not start"
    }
}

# import TAR REFERENCE: an image of one layer.
import() { docker import --message lowtide "$1" "$2" >/dev/null; }

# push REFERENCE: quietly; prints nothing when it works.
push() {
    local out
    out=$(docker push "$1" 2>&1) || die "cannot push $1: $out"
}
