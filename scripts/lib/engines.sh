# shellcheck shell=bash
# Docker engines besides the distribution's own, and Compose. Sourced, never run; needs bases.sh.

NEWER_SUITE=trixie

# newer_packages DIR FILE PACKAGE…: packages of the newer suite, unpacked into DIR and not installed, unless FILE is there.
newer_packages() {
    local dir=$1 file=$2 uri tmp package
    shift 2
    [ ! -x "$dir/$file" ] || return 0
    uri=$(apt_uri "$(suite)")
    [ -n "$uri" ] || die "cannot find the URI of $(suite) in this machine's package sources"
    say "$NEWER_SUITE's $*, unpacked"
    tmp=$(mktemp -d)
    mkdir -p "$tmp/lists/partial" "$tmp/archives/partial" "$tmp/tree"
    echo "deb $uri $NEWER_SUITE main" >"$tmp/sources.list"
    # Lists and archives of its own: the machine's package state does not hear of the other suite.
    apt_of() {
        (cd "$tmp" && apt-get -q -o Dir::Etc::SourceList="$tmp/sources.list" -o Dir::Etc::SourceParts=- \
            -o Dir::State::Lists="$tmp/lists" -o Dir::Cache="$tmp" -o APT::Sandbox::User=root "$@" >>"$tmp/log" 2>&1)
    }
    as_root true
    if ! apt_of update || ! apt_of download "$@"; then
        tail -n 10 "$tmp/log" >&2
        die "$NEWER_SUITE's $* cannot be downloaded"
    fi
    for package in "$tmp"/*.deb; do
        dpkg -x "$package" "$tmp/tree"
    done
    [ -x "$tmp/tree/$file" ] || die "$NEWER_SUITE's $* have no $file"
    rm -rf "$dir"
    mkdir -p "$CACHE"
    mv "$tmp/tree" "$dir"
    rm -rf "$tmp"
}

# newer_engine: the Docker engine of a newer Debian; prints the folder whose usr/bin and usr/sbin come first in PATH where it
# is to be used. runc stays the machine's own.
newer_engine() {
    newer_packages "$CACHE/engine-$NEWER_SUITE" usr/sbin/dockerd docker.io docker-cli containerd
    echo "$CACHE/engine-$NEWER_SUITE"
}

# compose: Compose v2 of a newer Debian, which talks to any engine; prints the path of its program.
compose() {
    local file=usr/libexec/docker/cli-plugins/docker-compose
    newer_packages "$CACHE/compose-$NEWER_SUITE" "$file" docker-compose
    echo "$CACHE/compose-$NEWER_SUITE/$file"
}
