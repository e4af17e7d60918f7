# shellcheck shell=bash
# A builder base for the Dockerfile, made from this machine's own toolchain. Sourced, never run; needs bases.sh.
#
# Where rust:1-bookworm can be pulled, nobody needs this. It holds a Debian with a C compiler, the Rust toolchain, and what
# cargo has here at the same paths: sources of the dependencies, and the dependencies as compiled by `cargo build` of the dev
# profile. Inside, only lowtide itself is compiled (built with --build-arg PROFILE=dev): all the dependencies once more would
# cost five minutes and prove nothing.

# ROOT is common.sh's.
# shellcheck disable=SC2153
# builder_base: prints the path of its tar. Made anew when toolchain or Cargo.lock change.
builder_base() {
    local key tar tmp root cargo_home target uri
    root=$(cd "$ROOT" && rustc --print sysroot)
    cargo_home=${CARGO_HOME:-$HOME/.cargo}
    target=$(builder_target)
    key=$( (rustc -vV && echo "$target $cargo_home $root" && cat "$ROOT/Cargo.toml" "$ROOT/Cargo.lock" \
        "${BASH_SOURCE[0]}") | sha256sum | cut -c1-16)
    tar=$CACHE/builder-$key.tar
    if [ ! -e "$tar" ]; then
        uri=$(apt_uri "$(suite)")
        [ -n "$uri" ] || die "cannot find the URI of $(suite) in this machine's package sources"
        say "Builder base: $(suite), a C compiler, this machine's Rust toolchain, the compiled dependencies"
        rm -f "$CACHE"/builder-*.tar*
        mkdir -p "$CACHE"
        tmp=$(mktemp -d -p "$CACHE")
        # shellcheck disable=SC2024
        as_root mmdebstrap --quiet --format=tar --variant=minbase --include=gcc,libc6-dev \
            "$(suite)" - "deb $uri $(suite) main" >"$tar.part" || die "mmdebstrap failed"
        builder_files "$root" "$cargo_home" "$target" >"$tmp/files"
        # Nanoseconds are kept, which only this format does: cargo compares times.
        tar --format=posix --owner=0 --group=0 --no-recursion -C / --null -cf "$tmp/files.tar" -T "$tmp/files" ||
            die "the toolchain cannot be packed"
        tar -Af "$tmp/files.tar" "$tar.part"
        rm -f "$tar.part"
        mv "$tmp/files.tar" "$tar.part"
        rm -rf "$tmp"
        mv "$tar.part" "$tar"
    fi
    echo "$tar"
}

builder_target() { echo "$CARGO_TARGET_DIR"; }

# builder_import TAR REFERENCE: the image, with cargo set up as it is here.
builder_import() {
    local root
    root=$(cd "$ROOT" && rustc --print sysroot)
    docker import --message lowtide \
        --change "ENV PATH=$root/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
        --change "ENV CARGO_HOME=${CARGO_HOME:-$HOME/.cargo}" \
        --change "ENV CARGO_TARGET_DIR=$(builder_target)" \
        --change "ENV CARGO_NET_OFFLINE=true" \
        "$1" "$2" >/dev/null
}

# Names, each ended by a zero byte, relative to /.
builder_files() {
    local root=$1 cargo_home=$2 target=$3 list
    list=$(mktemp)
    (cd "$ROOT" && cargo build --quiet --message-format=json) >"$list" || die "lowtide does not build"
    {
        find "$root/bin" "$root/lib" "$root/libexec" -path "$root/lib/rustlib/src" -prune -o -print0
        for name in registry/index config.toml; do
            [ ! -e "$cargo_home/$name" ] || find "$cargo_home/$name" -print0
        done
        locked_packages | while read -r package; do
            find "$cargo_home"/registry/cache/*/"$package.crate" "$cargo_home"/registry/src/*/"$package" -print0 2>/dev/null || true
        done
        find "$target/debug/.fingerprint" -not -path '*/lowtide-*' -print0
        find "$target/debug/build" -not -path '*/lowtide-*' -print0
        jq -r 'select(.reason == "compiler-artifact" and (.target.name | startswith("lowtide") | not)) | .filenames[]' "$list" |
            { grep "^$target/debug/deps/" || true; } | tr '\n' '\0'
    } | sed -z 's|^/||'
    rm -f "$list"
}

# NAME-VERSION of everything in Cargo.lock.
locked_packages() {
    awk -F'"' '/^name = / { name = $2 } /^version = / { print name "-" $2 }' "$ROOT/Cargo.lock"
}
