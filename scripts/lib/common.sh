# shellcheck shell=bash
# Words, paths and small things every script of this folder needs. Sourced, never run.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# The home of the person who called, also under sudo.
# shellcheck disable=SC2034
CACHE=${LOWTIDE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lowtide}
# shellcheck disable=SC2034
WORK=${LOWTIDE_WORK:-$ROOT/target/private}
# Where cargo builds: what the caller says, the checkout's own folder once cargo has been used in it, else one for all checkouts of
# this machine, so that a new clone compiles lowtide and not its dependencies.
if [ -z "${CARGO_TARGET_DIR:-}" ]; then
    if [ -d "$ROOT/target/debug" ]; then CARGO_TARGET_DIR=$ROOT/target; else CARGO_TARGET_DIR=$CACHE/build; fi
fi
export CARGO_TARGET_DIR

# The answer goes to stdout, the story to stderr.
say() { printf '\n==> %s\n' "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }
die() {
    printf '\nerror: %s\n' "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# as_root CMD…: as it is for root, by sudo for anyone else.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        die "'$1' needs root: run this as root, or install sudo"
    fi
}

# wait_until SECONDS CMD…: polls CMD five times a second; fails when it never succeeds.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.2
    done
}

# stop_pid PID [SECONDS]: TERM, up to ten seconds, KILL. A process that is gone is fine.
stop_pid() {
    kill -TERM "$1" 2>/dev/null || return 0
    wait_until "${2:-10}" not_running "$1" || kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

not_running() {
    local state
    state=$(ps -o stat= -p "$1" 2>/dev/null) || return 0
    case $state in Z*) return 0 ;; esac
    return 1
}

# free_port FIRST: the first port from FIRST on that nothing on loopback listens on.
free_port() {
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        port=$((port + 1))
    done
    echo "$port"
}

# The median of the numbers on stdin, one a line.
median() {
    sort -g | awk '{ a[NR] = $1 } END { if (NR) print (NR % 2 ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2) }'
}

# Seconds since the epoch with a fraction.
now() { date +%s.%N; }

# fresh_build_folder: bounds the build folder that checkouts share. What another checkout compiled of lowtide itself is of no use to
# this one, and dependencies of older lock files pile up.
fresh_build_folder() {
    [ "$CARGO_TARGET_DIR" = "$CACHE/build" ] || return 0
    mkdir -p "$CARGO_TARGET_DIR"
    if [ "$(du -sm "$CARGO_TARGET_DIR" | cut -f1)" -gt 12000 ]; then
        rm -rf "${CARGO_TARGET_DIR:?}"/*
    elif [ "$(cat "$CARGO_TARGET_DIR/checkout" 2>/dev/null)" != "$ROOT" ]; then
        (cd "$ROOT" && cargo clean --quiet --workspace) || rm -rf "${CARGO_TARGET_DIR:?}"/*
    fi
    echo "$ROOT" >"$CARGO_TARGET_DIR/checkout"
}
