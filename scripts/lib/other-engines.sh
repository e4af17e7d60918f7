# shellcheck shell=bash
# Engines that people run besides the distribution's own, for the groups `containerd` and `podman`: Docker with the containerd image store, and
# Podman. Sourced by scripts/test, never run; needs bases.sh, packages.sh and what scripts/test defines.

# The release whose Docker has the containerd image store and runs on today's kernels.
OTHER_SUITE=sid

# other_root: a root with that release's Docker; prints its folder. Made once a month, as root.
other_root() {
    local root=$CACHE/engine-$OTHER_SUITE uri
    if [ -z "$(find "$root/usr/sbin/dockerd" -mtime -30 2>/dev/null)" ] && [ -z "$(find "$root.made" -mtime -30 2>/dev/null)" ]; then
        uri=$(apt_uri "$(suite)")
        [ -n "$uri" ] || die "cannot find the URI of $(suite) in this machine's package sources"
        say "$OTHER_SUITE's Docker in a root of its own (mmdebstrap)"
        mkdir -p "$CACHE"
        as_root rm -rf "$root" "$root.part"
        # A mirror's index of an unstable release may be past its date.
        as_root mmdebstrap --quiet --format=directory --variant=apt --aptopt='Acquire::Check-Valid-Until "false"' \
            --aptopt='APT::Install-Recommends "false"' --include=docker.io,docker-cli,iptables,procps,ca-certificates \
            "$OTHER_SUITE" "$root.part" "deb $uri $OTHER_SUITE main" >&2 || die "mmdebstrap failed"
        as_root mv "$root.part" "$root"
        touch "$root.made"
    fi
    echo "$root"
}

# need_podman: Podman with networks that have names.
need_podman() {
    need podman podman
    [ -x /usr/lib/podman/netavark ] || need no-netavark netavark
    [ -x /usr/lib/podman/aardvark-dns ] || need no-aardvark-dns aardvark-dns
}

# on_containerd: the groups docker and container on Docker with the containerd image store.
on_containerd() {
    need_all
    LOWTIDE_ENGINE_ROOT=$(other_root)
    export LOWTIDE_ENGINE_ROOT LOWTIDE_ENGINE_START=$ROOT/scripts/lib/engine-sid
    on_private_host others "" 0 docker
    # A filter is for tests by name.
    [ -n "${LOWTIDE_TEST_ARGS:-}" ] || container_elsewhere
    unset LOWTIDE_ENGINE_ROOT LOWTIDE_ENGINE_START
}

# on_podman: whole cycles with a rollout.
on_podman() {
    need_all
    need_podman
    export LOWTIDE_ENGINE_START=$ROOT/scripts/lib/engine-podman
    on_private_host others "" 0 podman
    unset LOWTIDE_ENGINE_START
}

# container_elsewhere: the group container on the engine that LOWTIDE_ENGINE_START starts; the image is built there.
container_elsewhere() {
    local python dir=$WORK/container-files/run
    python=$(need_python)
    busybox_base >/dev/null
    as_root rm -rf "$WORK/container-files"
    mkdir -p "$dir"
    say "container: a private host with another engine"
    script container as_root env PATH="$PATH" CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" \
        RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}" CARGO_TARGET_DIR="$CARGO_TARGET_DIR" LOWTIDE_CACHE="$CACHE" \
        LOWTIDE_ENGINE_START="$LOWTIDE_ENGINE_START" LOWTIDE_ENGINE_ROOT="$LOWTIDE_ENGINE_ROOT" \
        LOWTIDE_ENGINE_ARGS="--insecure-registry 172.16.0.0/12" \
        "$ROOT/scripts/lib/private-host" "$WORK/container" "$ROOT/tests/container/run" "$dir" "$python" \
        "$WORK/container-files/image.tar" "$(builder_base)" "$(debian_behind)"
    as_root rm -rf "$WORK/container-files"
}
