# shellcheck shell=bash
# The package for Debian and Ubuntu. Sourced by scripts/dist; by dpkg-deb alone, because there is nothing to compile in it.

MAINTAINER="The lowtide authors <lowtide@example.org>"

# deb BINARY FILES ROOT OUT: FILES is the folder of the archive, ROOT where the package's tree is laid.
deb() {
    local binary=$1 files=$2 root=$3 out=$4 page
    install -D -m 755 "$files/lowtide" "$root/usr/bin/lowtide"
    for page in "$files"/man/*.1; do
        gzip_into "$page" "$root/usr/share/man/man1/${page##*/}.gz"
    done
    install -D -m 644 "$files/completions/lowtide.bash" "$root/usr/share/bash-completion/completions/lowtide"
    install -D -m 644 "$files/completions/_lowtide" "$root/usr/share/zsh/vendor-completions/_lowtide"
    install -D -m 644 "$files/completions/lowtide.fish" "$root/usr/share/fish/vendor_completions.d/lowtide.fish"
    install -D -m 644 "$files/config.example.yml" "$root/usr/share/doc/lowtide/examples/config.example.yml"
    gzip_into "$files/README.md" "$root/usr/share/doc/lowtide/README.md.gz"
    gzip_into "$files/CHANGELOG.md" "$root/usr/share/doc/lowtide/CHANGELOG.md.gz"
    deb_changelog | gzip -9n >"$root/usr/share/doc/lowtide/changelog.gz"
    gzip_into "$files/LICENSES-OF-CRATES" "$root/usr/share/doc/lowtide/LICENSES-OF-CRATES.gz"
    deb_copyright "$files" >"$root/usr/share/doc/lowtide/copyright"
    mkdir -p "$root/usr/lib/systemd/system" "$root/usr/lib/sysusers.d" "$root/etc/lowtide"
    # Without its head, which tells how to install it by hand.
    sed -n '/^\[Unit\]/,$p' "$files/lowtide.service" | sed 's|/usr/local/bin/|/usr/bin/|' \
        >"$root/usr/lib/systemd/system/lowtide.service"
    echo 'u lowtide - "lowtide" /var/lib/lowtide' >"$root/usr/lib/sysusers.d/lowtide.conf"
    chmod -R u=rwX,go=rX "$root"
    mkdir -m 755 "$root/DEBIAN"
    deb_control "$binary" "$root" >"$root/DEBIAN/control"
    install -m 755 "$ROOT"/scripts/dist.d/deb/postinst "$ROOT"/scripts/dist.d/deb/prerm "$ROOT"/scripts/dist.d/deb/postrm "$root/DEBIAN"
    (cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
    chmod 644 "$root/DEBIAN/control" "$root/DEBIAN/md5sums"
    # xz, which every dpkg in use unpacks. Times in it are no newer than SOURCE_DATE_EPOCH, so all of them have to be newer first.
    find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group -Zxz --build "$root" "$out/lowtide_${VERSION}_$(architecture).deb" >/dev/null ||
        die "dpkg-deb failed"
}

gzip_into() {
    mkdir -p "${2%/*}"
    gzip -9nc "$1" >"$2"
}

# deb_control BINARY ROOT. What the runtime stage of the Dockerfile installs, the libraries that the binary names, and who makes users.
deb_control() {
    local size
    size=$(du -sk --apparent-size --exclude=DEBIAN "$2" | cut -f1)
    cat <<EOF
Package: lowtide
Version: $VERSION
Architecture: $(architecture)
Maintainer: $MAINTAINER
Installed-Size: $size
Depends: $(deb_libraries "$1"), ca-certificates, git, openssh-client, systemd | systemd-standalone-sysusers | systemd-sysusers
Recommends: tzdata
Suggests: docker.io | docker-ce
Section: admin
Priority: optional
Description: keeps a fleet of container images fresh, and rolls them out
 lowtide rebuilds the images of your git repositories every night to pick up
 security fixes, runs each repository's own tests inside the image that will
 ship, publishes what passed under an immutable tag, and in your maintenance
 window moves the running containers to that very digest, one at a time. When
 something is wrong it rolls back by itself, halts, and tells you.
EOF
}

# deb_libraries BINARY: the packages of the libraries it is linked with. A new one has to be thought about.
deb_libraries() {
    local library found=()
    while read -r library; do
        case $library in
            libc.so.6 | libm.so.6 | ld-linux-*) ;;
            libgcc_s.so.1) found+=(libgcc-s1) ;;
            *) die "which package has $library? say so in scripts/dist.d/deb.sh" ;;
        esac
    done < <(objdump -p "$1" | awk '$1 == "NEEDED" { print $2 }')
    printf 'libc6 (>= %s)' "$(glibc_of "$1")"
    [ ${#found[@]} -eq 0 ] || printf ', %s' "${found[@]}"
}

# In the form that Debian's programs read, as the next one.
deb_changelog() {
    cat <<EOF
lowtide ($VERSION) unstable; urgency=medium

  * CHANGELOG.md.gz beside this file says what changed.

 -- $MAINTAINER  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
EOF
}

# Apache's text is on every Debian.
deb_copyright() {
    cat <<EOF
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: lowtide
Comment: The crates that are compiled in have licences of their own: LICENSES-OF-CRATES.gz beside this file.

Files: *
$(sed -n 's/^Copyright (c) /Copyright: /p' "$1/LICENSE-MIT")
License: MIT or Apache-2.0

License: MIT
$(sed -e '1,/^Copyright/d' "$1/LICENSE-MIT" | sed -e '/./,$!d' -e 's/^$/./' -e 's/^/ /')

License: Apache-2.0
 On Debian the text is in /usr/share/common-licenses/Apache-2.0.
EOF
}
