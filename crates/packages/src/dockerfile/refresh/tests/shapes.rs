//! Snippets as Dockerfiles have them, and what each is sure to do.

use super::run;

fn all(table: &[(&str, &str)]) {
    for (text, expected) in table {
        assert_eq!(run(&format!("RUN {text}")), *expected, "{text}");
    }
}

#[test]
fn ways_to_name_packages() {
    all(&[
        (
            "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get -qy -o Dpkg::Use-Pty=0 install --no-install-recommends \\\n  # tools\n  curl git vim=2:9.0-1 'nginx=1.2*'",
            "newest curl git, pin nginx=1.2*, pin vim=2:9.0-1",
        ),
        (
            "--mount=type=cache,target=/var/cache/apt set -e; apt-get update; apt-get -y dist-upgrade",
            "upgrade",
        ),
        ("[\"apt-get\", \"-y\", \"upgrade\"]", "upgrade without new"),
        ("[\"bash\", \"-euc\", \"apt-get install -y a\"]", "newest a"),
        ("<<EOF\napt-get update\napt-get install -y a b\nEOF", "newest a b"),
        (
            "<<-'EOF'\n\tset -e\n\tapt-get install -y a\n\trm -rf /var/lib/apt/lists/*\n\tEOF",
            "newest a",
        ),
        ("<<EOF\n#!/bin/bash -e\napt-get install -y a\necho\nEOF", "newest a"),
        (
            "<<EOF\n#!/usr/bin/env python3\nimport os\nEOF",
            "? what python3 does is not known",
        ),
        ("bash -e <<EOF\napt-get install -y a\necho\nEOF", "newest a"),
        (
            "cat <<EOF > /etc/x && apt-get install -y a\napt-get upgrade\nEOF",
            "newest a",
        ),
        (
            "apk add --no-cache -t .deps curl@edge xz=~5.4 zlib=1.3-r0",
            "pin xz=5.4*, pin zlib=1.3-r0",
        ),
        ("apk -U upgrade && apk add -u x", "upgrade, newest x"),
        ("apk upgrade --no-cache x y", "newest x y"),
        ("apt-get install -y a:amd64 b", "newest b, perhaps a"),
        ("<<EOF cat\napt-get -y upgrade\nEOF", "-"),
        ("<<EOF sh\napt-get -y dist-upgrade\nEOF", "upgrade"),
        ("<< EOF\napt-get -y dist-upgrade\nEOF", "upgrade"),
        ("<<EOF && true\napt-get -y dist-upgrade\nEOF", "-"),
        ("apk add x 'y>=2' 'z<3'", "install"),
        ("apt-get purge -y --auto-remove $DEPS && apk del $DEPS", "-"),
        (
            "apt-get remove -y foo bar+",
            "? apt-get is called in a way that is not understood",
        ),
        ("apt upgrade -y", "upgrade without removals"),
        ("apt-get --with-new-pkgs upgrade -y", "upgrade without removals"),
        ("aptitude -y full-upgrade", "upgrade"),
        (
            "apt-get install -y libstdc++6 g++ foo- bar+",
            "newest bar g++ libstdc++6",
        ),
        (
            "apt-get install -y ca-certificates && update-ca-certificates",
            "newest ca-certificates",
        ),
        (
            "apt-get install -y php-{curl,xml}",
            "? it is not known which packages are installed",
        ),
        (
            "apt-get install -y 'php8.*'",
            "? it is not known which packages are installed",
        ),
        ("apt-get install -y foo/bookworm", "pin foo=/bookworm unknown"),
        (
            "apt-get install -y -t bookworm-backports foo",
            "pin foo=another release's unknown",
        ),
        (
            "apt-get install -y ./local.deb",
            "? a package file of its own is installed",
        ),
        ("echo 'apt-get upgrade'", "-"),
        ("apt-get build-dep -y foo", "-"),
        ("apt-get update && apt-get -y autoremove && apt-get clean", "-"),
    ]);
}

#[test]
fn wrappers() {
    all(&[
        ("env X=1 apt-get -y dist-upgrade", "upgrade"),
        ("sudo -E apt-get -y dist-upgrade", "upgrade"),
        ("apk add -u '!x' y", "newest y"),
        ("apt-mark --odd", "? apt-mark is called in a way that is not understood"),
        ("P=a; export P; apt-get install -y $P", "newest a"),
        ("gosu app apt-get -y dist-upgrade", "upgrade"),
        ("su-exec root apk upgrade", "upgrade"),
        ("sudo --user=$U apt-get -y dist-upgrade", "upgrade"),
        (
            "sudo -u$U apt-get -y dist-upgrade",
            "? an option of sudo is not understood",
        ),
        // `set -e` does not watch over a condition.
        (
            "set -e; if apt-get -y dist-upgrade; true; then true; fi",
            "? an upgrade is not sure to happen",
        ),
        ("DEBIAN_FRONTEND=noninteractive apt-get -y dist-upgrade", "upgrade"),
        ("exec apt-get -y dist-upgrade", "upgrade"),
        ("time apt-get -y dist-upgrade", "upgrade"),
        ("nice -n 10 ionice -c2 apt-get -y dist-upgrade", "upgrade"),
        ("timeout -k 5 60 apt-get -y dist-upgrade", "upgrade"),
        ("command apt-get -y dist-upgrade", "upgrade"),
        ("/usr/bin/apt-get -y dist-upgrade", "upgrade"),
        ("eval apt-get -y dist-upgrade", "upgrade"),
        ("eval 'apt-get update; apt-get -y dist-upgrade'", "upgrade"),
        ("sh -ec 'apt-get -y dist-upgrade; echo'", "upgrade"),
        ("bash -euxo pipefail -c 'apt-get -y dist-upgrade | cat'", "upgrade"),
        ("su - root -c 'apt-get -y dist-upgrade'", "upgrade"),
        ("yes | apt-get dist-upgrade", "upgrade"),
        ("./apt-get -y dist-upgrade", "? what ./apt-get does is not known"),
        ("unattended-upgrade -v", "? an upgrade is not sure to happen"),
        (
            "xargs -a /p.txt apt-get install -y",
            "? it is not known which packages are installed",
        ),
        (
            "grep -v '#' /p.txt | xargs apt-get install -y",
            "? it is not known which packages are installed",
        ),
        (
            "find / -name x -exec apt-get -y upgrade \\;",
            "? an upgrade is not sure to happen",
        ),
        ("find / -name '*.pyc' -exec rm -f {} + && find /tmp | xargs rm -rf", "-"),
        ("/up.sh", "? what /up.sh does is not known"),
        ("sh /up.sh", "? what sh runs is not known"),
        ("bash < /up.sh", "? what bash runs is not known"),
        (
            "curl -sL https://example.org/setup | bash -",
            "? what bash runs is not known",
        ),
        ("echo 'apt-get -y dist-upgrade' | sh", "upgrade"),
        (". /etc/os-release && echo $VERSION_CODENAME", "-"),
        (". /opt/env", "? another file is run"),
        (
            "trap 'apt-get -y upgrade' EXIT; true",
            "? an upgrade is not sure to happen",
        ),
        (
            "sudo --odd apt-get -y dist-upgrade",
            "? an option of sudo is not understood",
        ),
        ("\"$TOOL\" install x", "? which program is called is not known"),
        ("alias rm=apt-get", "? what alias does is not known"),
    ]);
}

#[test]
fn conditions() {
    let perhaps = "? an upgrade is not sure to happen";
    all(&[
        ("if [ \"$UPGRADE\" = true ]; then apt-get -y upgrade; fi", perhaps),
        ("[ -n \"$X\" ] && apt-get -y upgrade || true", perhaps),
        ("apt-get -y upgrade || true", perhaps),
        ("apt-get -y upgrade || :", perhaps),
        ("apt-get -y upgrade; true", perhaps),
        ("apt-get -y upgrade & wait", perhaps),
        ("! apt-get -y upgrade", perhaps),
        ("apt-get -y upgrade | cat", perhaps),
        ("case $X in a) apt-get -y upgrade;; esac", perhaps),
        ("for x in 1 2; do apt-get -y upgrade; done", perhaps),
        ("while ! apt-get -y upgrade; do sleep 1; done", perhaps),
        ("up() { apt-get -y upgrade; }; up", perhaps),
        ("(apt-get -y upgrade || true)", perhaps),
        ("x=$(apt-get -y upgrade)", perhaps),
        ("apt-get -s upgrade", perhaps),
        ("apt-get -ys upgrade", perhaps),
        ("apt-get --dry-run upgrade", perhaps),
        ("apt-get --simulate dist-upgrade", perhaps),
        ("apt-get -y --download-only upgrade", perhaps),
        ("apt-get -yd upgrade", perhaps),
        ("apt-get --print-uris upgrade", perhaps),
        ("apt-get -o APT::Get::Simulate=true upgrade", perhaps),
        ("apt-get -y -t testing upgrade", perhaps),
        ("apk -s upgrade", perhaps),
        ("apk upgrade --root /other", perhaps),
        ("if [ -f /x ]; then exit 0; fi; apt-get -y upgrade", perhaps),
        ("[ -f /x ] && exit 0; apt-get -y upgrade", perhaps),
        ("set -e; apt-get update && apt-get -y upgrade; true", perhaps),
        ("set -e; (set +e; apt-get -y upgrade; true)", perhaps),
        ("set -e; if apt-get -y upgrade; then true; fi", perhaps),
        ("set -e; f() { apt-get -y upgrade; }; f || true", perhaps),
        ("true || apt-get -y upgrade", perhaps),
        ("sh -ec 'apt-get -y upgrade; true' || true", perhaps),
        ("! sh -ec 'apt-get -y upgrade; true'", perhaps),
        ("set -e; (apt-get -y upgrade; true) | cat", perhaps),
        ("x=$((apt-get -y upgrade); (true))", perhaps),
        ("apt-get install -y a || true", "perhaps a"),
        ("if x=1; then apt-get install -y a=1; fi", "pin a=1 perhaps"),
        ("apt-get -s install a", "perhaps a"),
        ("apt-get install --no-upgrade -y a", "perhaps a"),
        (
            "if true; then apt-get install -y a=1; else apt-get install -y a=2; fi",
            "pin a=2 unknown",
        ),
    ]);
}

#[test]
fn what_has_to_succeed_is_sure() {
    all(&[
        ("apt-get update && apt-get -y dist-upgrade", "upgrade"),
        ("apt-get update; apt-get -y dist-upgrade", "upgrade"),
        ("apt-get update || true; apt-get -y dist-upgrade", "upgrade"),
        ("apt-get -y dist-upgrade || exit 1", "upgrade"),
        ("apt-get -y dist-upgrade || { echo failed >&2; exit 1; }", "upgrade"),
        ("apt-get -y dist-upgrade || (echo failed; exit 1)", "upgrade"),
        ("apt-get -y dist-upgrade || exit 1; rm -f /x", "upgrade"),
        (
            "apt-get -y dist-upgrade || (exit 1); rm -f /x",
            "? an upgrade is not sure to happen",
        ),
        ("apt-get -y dist-upgrade || false", "upgrade"),
        (
            "set -eux; apt-get update; apt-get -y dist-upgrade; rm -rf /var/lib/apt/lists/*",
            "upgrade",
        ),
        (
            "set -ex && apt-get update && apt-get -y dist-upgrade && rm -rf /x",
            "upgrade",
        ),
        ("set -o errexit; { apt-get -y dist-upgrade; echo; }; true", "upgrade"),
        ("(apt-get -y dist-upgrade)", "upgrade"),
        ("{ apt-get -y dist-upgrade; } && true", "upgrade"),
        ("set -o pipefail; apt-get -y dist-upgrade | cat", "upgrade"),
        ("[ -f /x ] || exit 1; apt-get -y dist-upgrade", "upgrade"),
        ("if [ ! -f /x ]; then exit 1; fi; apt-get -y dist-upgrade", "upgrade"),
        ("cd /tmp && a=1 && apt-get -y dist-upgrade", "upgrade"),
    ]);
}

#[test]
fn silence_is_proven_by_a_closed_list() {
    let unknown = |what: &str| format!("? what {what} does is not known");
    for text in [
        "mkdir -p /a && cp -r /b /a && rm -rf /b /var/lib/apt/lists/* /tmp/* && ln -s a b && chmod +x c && chown -R a:b c",
        "useradd -r app; groupadd x; usermod -aG x app",
        "sed -i 's/a/b/' /etc/x && echo \"a\" >> /etc/y && printf '%s' a | tee /z > /dev/null",
        "curl -fsSL https://example.org/k | gpg --dearmor -o /k.gpg && wget -q x && tar -xzf x -C /opt",
        "ARCH=$(dpkg --print-architecture) && echo $ARCH && find / -name '*.pyc' -delete",
        "a2enmod rewrite && locale-gen && update-alternatives --set x /y",
        "pip3 install --no-cache-dir -r requirements.txt && python3 -m pip install x==1",
        "git clone --depth 1 https://example.org/x /x && git -C /x checkout v1",
        "if [ -d /x ]; then rm -rf /x; fi; for d in a b; do mkdir $d; done; test -f /y || touch /y",
        "awk '{print $1}' /etc/passwd && dpkg -l | wc -l && command -v curl && type sh",
    ] {
        assert_eq!(run(&format!("RUN {text}")), "-", "{text}");
    }
    for (text, what) in [
        ("make", "make"),
        ("npm ci", "npm"),
        ("/usr/local/bin/mkdir /x", "/usr/local/bin/mkdir"),
        ("pip install .", "pip"),
        ("awk 'BEGIN { system(\"apt-get upgrade\") }'", "awk"),
        ("sed -e '1e apt-get upgrade' -e 's/x/y/e' /x", "sed"),
        ("tar --to-command=sh -xf x", "tar"),
        ("rm -rf /var/lib/dpkg", "rm"),
        ("rm -rf /var/lib/*", "rm"),
        ("rm -rf /var/lib/{apt,dpkg}", "rm"),
        ("cp /status /var/lib/dpkg/status", "cp"),
        ("docker-php-ext-install gd", "docker-php-ext-install"),
        ("git submodule foreach make", "git"),
        ("cd /x && ./configure", "./configure"),
    ] {
        assert_eq!(run(&format!("RUN {text}")), unknown(what), "{text}");
    }
    assert_eq!(
        run("RUN echo x > /var/lib/dpkg/status"),
        "? the package database itself is written"
    );
    assert_eq!(run("RUN dpkg -i /x.deb"), "? dpkg installs a package file");
    // It may be `-i`.
    assert_eq!(run("RUN dpkg -l $X"), "? dpkg installs a package file");
    assert_eq!(run("RUN if a; then"), "? its shell syntax is not understood");
    assert_eq!(run("SHELL [\"powershell\", \"-c\"]\nRUN x"), unknown("powershell"));
    let replaced = "? files of another stage or image may replace the package database";
    for (copy, expected) in [
        ("COPY --from=other / /", replaced),
        ("COPY --link --from=other / .", replaced),
        ("COPY --from=other /var/lib/ /var/lib", replaced),
        (
            "COPY --from=other [\"/var/lib/dpkg/status\", \"/var/lib/dpkg/\"]",
            replaced,
        ),
        ("COPY --from=other / $TO", replaced),
        ("COPY --from=other / /usr/bin/", "-"),
        ("COPY --from=other /app /x /", "-"),
        ("COPY . /", "-"),
        ("ONBUILD COPY --from=other / /", "-"),
    ] {
        assert_eq!(run(copy), expected, "{copy}");
    }
}

/// A newer version in a source that was not there yet is not the build's fault.
#[test]
fn sources_that_come_later() {
    let later = "? package sources change after something was installed";
    let add = "echo 'deb http://example.org x y' > /etc/apt/sources.list.d/x.list";
    assert_eq!(
        run(&format!("RUN {add} && apt-get update && apt-get install -y a")),
        "newest a"
    );
    assert_eq!(
        run(&format!(
            "RUN apt-get install -y a && {add} && apt-get update && apt-get install -y b"
        )),
        format!("newest b, perhaps a, {later}")
    );
    for text in [
        "RUN add-apt-repository ppa:x",
        "RUN sed -i s/a/b/ /etc/apt/sources.list",
        "COPY x.sources /etc/apt/sources.list.d/",
        "ADD x.sources /etc/apt/",
        "RUN echo x >> /etc/apk/repositories",
        "RUN echo x | tee /etc/apt/preferences.d/x",
    ] {
        assert_eq!(run(text), "-", "{text}");
        assert_eq!(run(&format!("RUN apt-get -y dist-upgrade\n{text}")), later, "{text}");
    }
    for text in [
        "RUN rm -f /etc/apt/sources.list.d/x.list",
        "RUN cat /etc/apt/sources.list",
        "RUN gpg -o /etc/apt/keyrings/x",
    ] {
        assert_eq!(
            run(&format!("RUN apt-get -y dist-upgrade\n{text}")),
            "upgrade",
            "{text}"
        );
    }
}

/// As Docker's own images do it.
#[test]
fn the_official_style_is_understood() {
    let text = "set -eux; \\\n\
        \tsavedAptMark=\"$(apt-mark showmanual)\"; \\\n\
        \tapt-get update; \\\n\
        \tapt-get install -y --no-install-recommends ca-certificates wget; \\\n\
        \trm -rf /var/lib/apt/lists/*; \\\n\
        \tdpkgArch=\"$(dpkg --print-architecture | awk -F- '{ print $NF }')\"; \\\n\
        \tcase \"$dpkgArch\" in 'amd64') url=a;; *) echo >&2 \"unsupported\"; exit 1;; esac; \\\n\
        \twget -O x.tgz \"$url\"; echo \"$sum *x.tgz\" | sha256sum -c -; \\\n\
        \ttar -C /usr/local -xzf x.tgz; \\\n\
        \tapt-mark auto '.*' > /dev/null; \\\n\
        \t[ -z \"$savedAptMark\" ] || apt-mark manual $savedAptMark > /dev/null; \\\n\
        \tfind /usr/local -type f -executable -exec ldd '{}' ';' | awk '/=>/ { print $(NF-1) }' | sort -u \\\n\
        \t\t| xargs -r dpkg-query --search | cut -d: -f1 | sort -u | xargs -r apt-mark manual; \\\n\
        \tapt-get purge -y --auto-remove -o APT::AutoRemove::RecommendsImportant=false";
    assert_eq!(run(&format!("RUN {text}")), "newest ca-certificates wget");
}

#[test]
fn holds() {
    all(&[
        ("apt-get install -y a && apt-mark hold a b:amd64", "newest a, held a b"),
        ("echo 'a hold' | dpkg --set-selections", "held a"),
        ("echo \"a hold\\nb install\" | dpkg --set-selections", "held a"),
        (
            "dpkg --set-selections < /x",
            "? it is not known which packages are held",
        ),
        (
            "apt-mark hold $X",
            "? apt-mark is called in a way that is not understood",
        ),
        ("apt-mark hold 'php*'", "? it is not known which packages are held"),
        ("aptitude hold a", "held a"),
        ("apt-mark showhold", "-"),
        ("apt-mark auto '.*'", "-"),
    ]);
}
