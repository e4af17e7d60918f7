# shellcheck shell=bash
# Docker engines besides the distribution's own. Sourced, never run; needs bases.sh.

NEWER_SUITE=trixie

# newer_engine: the Docker engine of a newer Debian, unpacked and not installed; prints the folder whose usr/bin and usr/sbin
# come first in PATH where it is to be used. runc stays the machine's own.
newer_engine() {
    local dir=$CACHE/engine-$NEWER_SUITE uri tmp package
    if [ ! -x "$dir/usr/sbin/dockerd" ]; then
        uri=$(apt_uri "$(suite)")
        [ -n "$uri" ] || die "cannot find the URI of $(suite) in this machine's package sources"
        say "A newer Docker engine: $NEWER_SUITE's packages, unpacked"
        tmp=$(mktemp -d)
        mkdir -p "$tmp/lists/partial" "$tmp/archives/partial" "$tmp/tree"
        echo "deb $uri $NEWER_SUITE main" >"$tmp/sources.list"
        # Lists and archives of its own: the machine's package state does not hear of the other suite.
        apt_of() {
            (cd "$tmp" && apt-get -q -o Dir::Etc::SourceList="$tmp/sources.list" -o Dir::Etc::SourceParts=- \
                -o Dir::State::Lists="$tmp/lists" -o Dir::Cache="$tmp" -o APT::Sandbox::User=root "$@" >>"$tmp/log" 2>&1)
        }
        as_root true
        if ! apt_of update || ! apt_of download docker.io docker-cli containerd; then
            tail -n 10 "$tmp/log" >&2
            die "$NEWER_SUITE's engine cannot be downloaded"
        fi
        for package in "$tmp"/*.deb; do
            dpkg -x "$package" "$tmp/tree"
        done
        [ -x "$tmp/tree/usr/sbin/dockerd" ] || die "$NEWER_SUITE's docker.io has no usr/sbin/dockerd"
        rm -rf "$dir"
        mkdir -p "$CACHE"
        mv "$tmp/tree" "$dir"
        rm -rf "$tmp"
    fi
    echo "$dir"
}
