# shellcheck shell=bash
# Base images made from this machine's own package sources. Sourced, never run.

# apt_uri SUITE: the URI from which this machine takes a suite's main packages; nothing when it does not.
apt_uri() {
    # $(…) is apt's own template syntax.
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(CREATED_BY) $(REPO_URI)' |
        awk -v suite="$1" '!uri && $1 == suite && $2 == "main" && $3 == "Packages" { uri = $4 } END { if (uri) print uri }'
}

suite() { (. /etc/os-release && echo "$VERSION_CODENAME"); }

# What a base that is up to date has besides the release suite.
security_line() {
    local uri
    uri=$(apt_uri "$(suite)-security")
    [ -n "$uri" ] || die "this machine's package sources have no security suite: the demo needs one"
    echo "deb $uri $(suite)-security main"
}

# debian_behind: a base from the release suite alone, deliberately behind; prints the path of its tar. Made once a week:
# an index that expired would fail every build.
debian_behind() {
    local uri tar
    tar=$CACHE/$(suite)-behind.tar
    if [ -z "$(find "$tar" -mtime -7 2>/dev/null)" ]; then
        uri=$(apt_uri "$(suite)")
        if [ -z "$uri" ]; then
            quietly_apt update
            uri=$(apt_uri "$(suite)")
        fi
        [ -n "$uri" ] || die "cannot find the URI of $(suite) in this machine's package sources"
        say "Base image: $(suite) from the release suite alone (mmdebstrap)"
        mkdir -p "$CACHE"
        as_root mmdebstrap --quiet --format=tar --variant=minbase "$(suite)" - "deb $uri $(suite) main" >"$tar.part" ||
            die "mmdebstrap failed"
        mv "$tar.part" "$tar"
    fi
    echo "$tar"
}

# chromium_base: a browser for tests, from this machine's own package sources; prints the path of its tar. Made once a month.
chromium_base() {
    local uri security tar
    tar=$CACHE/$(suite)-chromium.tar
    if [ -z "$(find "$tar" -mtime -30 2>/dev/null)" ]; then
        uri=$(apt_uri "$(suite)")
        security=$(security_line)
        [ -n "$uri" ] || die "cannot find the URI of $(suite) in this machine's package sources"
        say "Browser image: Chromium of $(suite) (mmdebstrap)"
        mkdir -p "$CACHE"
        as_root mmdebstrap --quiet --format=tar --variant=minbase --include=chromium,fonts-dejavu-core \
            --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
            "$(suite)" - "deb $uri $(suite) main" "$security" >"$tar.part" || die "mmdebstrap failed"
        mv "$tar.part" "$tar"
    fi
    echo "$tar"
}

# busybox_base: a base of one static binary (2 MB); prints the path of its tar.
busybox_base() {
    local tar=$CACHE/busybox.tar tree name
    if [ ! -e "$tar" ]; then
        mkdir -p "$CACHE"
        tree=$(mktemp -d)
        mkdir -p "$tree"/bin "$tree"/etc "$tree"/tmp "$tree"/www
        cp "$(busybox_binary)" "$tree/bin/busybox"
        for name in cat echo env false httpd id kill ls mkdir nc rm sh sleep touch true wget; do
            ln -s busybox "$tree/bin/$name"
        done
        tar -C "$tree" --owner=0 --group=0 -cf "$tar.part" .
        mv "$tar.part" "$tar"
        rm -rf "$tree"
    fi
    echo "$tar"
}
