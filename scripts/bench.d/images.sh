# shellcheck shell=bash
# What is inside an image: its packages and files, what is pending in it, what two of them differ in. Sourced by scripts/bench, never
# run; the names it works with are set there.
# shellcheck disable=SC2154

# peak NAME CMD…: seconds to NAME.s, those of processor time to NAME.cpu, megabytes to NAME.mb.
peak() {
    local name=$dir/$1
    shift
    python3 "$here/bench.d/peak.py" "$name" "$@" 2>"$dir/last.log" || {
        tail -n 20 "$dir/last.log" >&2
        die "failed: $*"
    }
}

# unknown_layers: forgets the tables of layers that were read before.
unknown_layers() { rm -rf "$dir/cache"; }
standing_alone() { env XDG_CACHE_HOME="$dir/cache" "$LOWTIDE_BIN" --state "$dir/none" "$@"; }

# in_registry IMAGE: where its manifest and its layers are.
in_registry() {
    local place=http://${1%%/*}/v2/${1#*/} digest
    place=${place%:*}
    echo "$place/manifests/${1##*:}"
    curl --disable --silent --show-error --fail --noproxy '*' --header "Accept: application/vnd.docker.distribution.manifest.v2+json" \
        "$place/manifests/${1##*:}" | jq -r '.layers[].digest' | while read -r digest; do
        echo "$place/blobs/$digest"
    done
}

bench_inventory() {
    local n image=127.0.0.1:$registry/bench/debian:1 packages places
    import "$(debian_behind)" "$image"
    push "$image"
    packages=$(standing_alone inventory --json "engine:$image" | jq '.packages | length')
    note "$packages packages, $(docker image inspect --format '{{.Size}}' "$image") bytes"
    # Asked before, so that the pipe does nothing but its work.
    mapfile -t places < <(in_registry "$image")
    [ ${#places[@]} -gt 1 ] || die "the registry has no layers of $image"
    unknown_layers
    export XDG_CACHE_HOME=$dir/cache
    for n in $(seq "$PAIRS"); do
        [ -z "${LOWTIDE_BENCH_SYFT:-}" ] || SYFT_CHECK_FOR_APP_UPDATE=false SYFT_REGISTRY_INSECURE_USE_HTTP=true \
            peak syft "$LOWTIDE_BENCH_SYFT" --quiet --output json "registry:$image"
        peak hand "$here/bench.d/inventory-by-hand" "$image"
        peak pipe "$here/bench.d/unpack-by-hand" "${places[@]}"
        unknown_layers
        peak registry "$LOWTIDE_BIN" --state "$dir/none" inventory --json "registry:$image"
        peak known "$LOWTIDE_BIN" --state "$dir/none" inventory --json "registry:$image"
        unknown_layers
        peak engine "$LOWTIDE_BIN" --state "$dir/none" inventory --json "engine:$image"
        note "pair $n: registry $(tail -n 1 "$dir/registry.s") s ($(tail -n 1 "$dir/registry.cpu") s of CPU), curl | gzip -dc $(tail -n 1 "$dir/pipe.s") s ($(tail -n 1 "$dir/pipe.cpu") s of CPU), known layers $(tail -n 1 "$dir/known.s") s, engine $(tail -n 1 "$dir/engine.s") s"
    done
    if [ -n "${LOWTIDE_BENCH_SYFT:-}" ]; then
        compare "inventory from a registry" s "$dir/registry.s" "$dir/syft.s" syft
        compare "inventory of known layers" s "$dir/known.s" "$dir/syft.s" syft
        compare "inventory memory" MB "$dir/registry.mb" "$dir/syft.mb" syft
    else
        note "no syft: it is not on PyPI for this machine"
    fi
    compare "inventory from a registry, CPU" s "$dir/registry.cpu" "$dir/pipe.cpu" "curl | gzip -dc"
    compare "inventory from the engine" s "$dir/engine.s" "$dir/hand.s" "by hand"
    compare "inventory of known layers" s "$dir/known.s" "$dir/hand.s" "by hand"
    note "memory from the engine: $(median <"$dir/engine.mb") MB"
}

simulate() { docker run --rm --entrypoint sh "$1" -c 'apt-get -q update && apt-get --simulate dist-upgrade'; }
# Exits with 10 when something is pending.
outdated() {
    local status=0
    "$LOWTIDE_BIN" "$@" --json >"$dir/outdated.json" || status=$?
    [ "$status" -eq 10 ]
}

# In what is kept of a suite.
SECURITY_BASE='"base":"[^"]*security'

# no_surveys DIR: nothing was judged before; indexes are known.
no_surveys() { rm -f "$1"/surveys.db*; }

# new_security DIR: the security suite has changed since it was asked last, as on most days.
new_security() {
    local release index
    release=$(grep -al "$SECURITY_BASE" "$1"/archives/release-*) || die "no security suite is known"
    for index in "$1"/archives/index-*; do
        ! grep -aq "${index##*/index-}" "$release" || rm "$index"
    done
    rm "$release"
}

# A Debian base that is behind, with four suites to ask, and a mark at the end of dpkg's status for journal.py to change.
four_suites() {
    local security main
    security=$(security_line)
    main=$(apt_uri "$(suite)")
    {
        printf 'FROM %s\nRUN echo "%s" >/etc/apt/sources.list.d/more.list' "$1" "$security"
        for more in updates backports; do
            printf ' && echo "deb %s %s-%s main" >>/etc/apt/sources.list.d/more.list' "$main" "$(suite)" "$more"
        done
        # shellcheck disable=SC2016
        printf ' && sed -i "\\$d" /var/lib/dpkg/status && printf "X-Mark: aaaaaaaa\\n\\n" >>/var/lib/dpkg/status'
        printf '\nCMD ["sleep", "infinity"]\n'
    } >"$dir/Dockerfile"
    DOCKER_BUILDKIT=0 docker build --quiet --tag "$2" - <"$dir/Dockerfile" >/dev/null 2>&1 || die "the base does not build"
}

# known_suites DIR [WORDS]: what is kept of each suite (its address, and what its server said of the file), where jq's WORDS hold.
known_suites() {
    local release
    for release in "$1"/archives/release-*; do
        head -n 1 "$release"
    done | jq --compact-output "select(${2:-true})"
}

# as_lowtide_asks: a configuration of curl that asks for the suites on stdin: only if they have changed, when their servers can tell.
# Without a proxy of someone's own, as lowtide.
as_lowtide_asks() {
    jq --slurp --raw-output '
        map(["fail", "noproxy = \"*\"", "output = \"/dev/null\"", "write-out = \"%{stderr}%{time_total} %{http_code} %{size_download}\\n\"",
            "header = \"Cache-Control: max-age=0\"", "url = \(.base + "InRelease" | @json)"]
            + [.validators | ("If-None-Match: " + (.etag // empty)), ("If-Modified-Since: " + (.modified // empty))
                | "header = \(@json)"]
            | join("\n"))
        | join("\nnext\n")'
}

# security_index DIR: the address of the security suite's index, as lowtide takes it: by its hash where that is offered.
security_index() {
    local release
    release=$(grep -al "$SECURITY_BASE" "$1"/archives/release-*)
    {
        head -n 1 "$release" | jq --raw-output .base
        sed 1d "$release"
    } | awk -v path="main/binary-$(dpkg --print-architecture)/Packages" '
        NR == 1 { base = $1 }
        /^Acquire-By-Hash: *yes/ { by_hash = 1 }
        /^[^ ]/ { sums = ($1 == "SHA256:") }
        sums && index($3, path) == 1 { hash[substr($3, length(path) + 1)] = $1 }
        END {
            folder = path
            sub("[^/]*$", "", folder)
            split(".zst .gz .xz", packings, " ")
            for (n = 1; n <= 3; n++)
                if (packings[n] in hash) {
                    print base (by_hash ? folder "by-hash/SHA256/" hash[packings[n]] : path packings[n])
                    exit
                }
        }'
}

# asks DIR: the questions of curl, from what lowtide has kept.
asks() {
    local security='.base | test("security")' index
    index=$(security_index "$1")
    [ -n "$index" ] || die "the security suite lists no index"
    known_suites "$1" | as_lowtide_asks >"$dir/asks.all"
    known_suites "$1" "$security | not" | as_lowtide_asks >"$dir/asks.others"
    known_suites "$1" "$security" | jq --compact-output '.validators = {}' | as_lowtide_asks >"$dir/asks.security"
    printf 'url = "%s"\noutput = "/dev/null"\n' "$index" >>"$dir/asks.security"
}

# No question waits for the connection of another one.
CURL=(curl --disable --no-progress-meter --parallel --parallel-immediate --config)

# What has to arrive when the security suite is new: its file, then its index over the same connection, while the others are asked.
new_security_by_curl() {
    local others
    "${CURL[@]}" "$dir/asks.others" &
    others=$!
    curl --disable --no-progress-meter --config "$dir/asks.security"
    wait "$others"
}

bench_freshness() {
    local n image=127.0.0.1:$registry/bench/suites:1 proxy db=$dir/freshness.state/lowtide.db
    import "$(debian_behind)" "bench/base:1"
    four_suites bench/base:1 "$image"
    push "$image"
    export XDG_CACHE_HOME=$dir/cache
    for n in $(seq "$PAIRS"); do
        timed "$dir/simulate.s" simulate "$image"
        unknown_layers
        timed "$dir/cold.s" outdated outdated --state "$dir/none" "engine:$image"
        peak warm "$LOWTIDE_BIN" --state "$dir/none" outdated --json "engine:$image"
        asks "$dir/cache/lowtide"
        peak asking "${CURL[@]}" "$dir/asks.all"
        # What it said of each answer. curl itself takes a while to start, which lowtide need not wait for.
        cp "$dir/last.log" "$dir/answers"
        sort -g "$dir/answers" | awk 'END { printf "%.3f\n", $1 }' >>"$dir/slowest.s"
        no_surveys "$dir/cache/lowtide"
        timed "$dir/judged.s" outdated outdated --state "$dir/none" "engine:$image"
        new_security "$dir/cache/lowtide"
        timed "$dir/security.s" outdated outdated --state "$dir/none" "engine:$image"
        timed "$dir/fetching.s" new_security_by_curl
        note "pair $n: in a container $(tail -n 1 "$dir/simulate.s") s, asking alone $(tail -n 1 "$dir/asking.s") s, with the security suite $(tail -n 1 "$dir/fetching.s") s; cold $(tail -n 1 "$dir/cold.s") s, warm $(tail -n 1 "$dir/warm.s") s, judged anew $(tail -n 1 "$dir/judged.s") s, security new $(tail -n 1 "$dir/security.s") s"
    done
    note "$(jq '.images[0].pending | length' "$dir/outdated.json") packages are pending"
    note "the servers answered, with so many bytes: $(cut -d ' ' -f 2- "$dir/answers" | paste -s -d ,)"
    compare "freshness of one image, nothing known" s "$dir/cold.s" "$dir/simulate.s" "apt in a container"
    compare "freshness of one image, security suite new" s "$dir/security.s" "$dir/simulate.s" "apt in a container"
    compare "freshness of one image, security suite new" s "$dir/security.s" "$dir/fetching.s" "curl fetching the same"
    compare "freshness of one image, indexes known" s "$dir/judged.s" "$dir/simulate.s" "apt in a container"
    compare "freshness of one image, all known" s "$dir/warm.s" "$dir/simulate.s" "apt in a container"
    compare "freshness of one image, all known" s "$dir/warm.s" "$dir/asking.s" "curl asking the same four repositories"
    compare "freshness of one image, all known" s "$dir/warm.s" "$dir/slowest.s" "the slowest of their answers"
    note "CPU then: lowtide $(median <"$dir/warm.cpu") s, curl $(median <"$dir/asking.cpu") s"

    proxy=$(free_port 3128)
    start "$dir/proxy.log" python3 "$here/bench.d/proxy.py" "$proxy" "$dir/requests"
    wait_until 10 port_answers "$proxy" || die "the proxy did not start"
    git init --quiet --bare --initial-branch=main "$dir/freshness.git"
    git init --quiet --initial-branch=main "$dir/freshness.src"
    in_repo remote add origin "file://$dir/freshness.git"
    printf 'FROM %s\nRUN touch /made\n' "$image" >"$dir/freshness.src/Dockerfile"
    commit first
    mkdir -m 700 "$dir/freshness.state"
    printf 'version: 1\nmode: active\nhosts: { here: { docker: "unix://%s" } }\npackage_repositories: { proxy: "http://127.0.0.1:%s" }\napps:\n  web: { source: { repo: "file://%s" }, schedule: never, publish: { image: "127.0.0.1:%s/apps/freshness" } }\n' \
        "${DOCKER_HOST#unix://}" "$proxy" "$dir/freshness.git" "$registry" >"$dir/freshness.yml"
    two_runs
    note "$("$python" "$here/bench.d/journal.py" "$db" web "$APPS" 3 different)"
    many_apps | sed "s|^apps:|package_repositories: { proxy: \"http://127.0.0.1:$proxy\" }\napps:|" >"$dir/freshness.yml"
    # The fleet in force is what a bot took up last.
    serve_lowtide
    wait_until 30 ready || die "serve is not ready: $(tail -n 5 "$dir/freshness.log")"
    stop_pid "$served"
    for n in $(seq "$PAIRS"); do
        : >"$dir/requests"
        no_surveys "$dir/freshness.state"
        peak fleet "$LOWTIDE_BIN" outdated --config "$dir/freshness.yml" --state "$dir/freshness.state" --all --json
        wc -l <"$dir/requests" >>"$dir/fleet.requests"
        peak quiet "$LOWTIDE_BIN" outdated --config "$dir/freshness.yml" --state "$dir/freshness.state" --all --json
        note "pair $n: $(tail -n 1 "$dir/fleet.s") s, $(tail -n 1 "$dir/fleet.mb") MB, $(tail -n 1 "$dir/fleet.requests") requests; without news $(tail -n 1 "$dir/quiet.s") s, $(tail -n 1 "$dir/quiet.mb") MB"
    done
    outdated outdated --config "$dir/freshness.yml" --state "$dir/freshness.state" --all
    note "$(jq '[.images[] | select(.pending | length > 0)] | length' "$dir/outdated.json") images have something pending"
    compare "freshness of $APPS images, indexes known" s "$dir/fleet.s" "$dir/simulate.s" "apt in one container"
    compare "freshness of $APPS images, no news" s "$dir/quiet.s" "$dir/simulate.s" "apt in one container"
    summary+=("memory for $APPS images: $(median <"$dir/fleet.mb") MB")
    summary+=("requests for $APPS images: $(median <"$dir/fleet.requests")")
}

read_both() { docker save "$1" | cat >/dev/null && docker save "$2" | cat >/dev/null; }

bench_diff() {
    local n seed images=()
    for seed in 1 2; do
        images+=("bench/large:$seed")
        import "$(debian_behind)" "bench/base:1"
        python3 "$here/bench.d/large.py" 850 40000 "$seed" >"$dir/large.tar"
        printf 'FROM bench/base:1\nADD large.tar /\n' >"$dir/Dockerfile"
        tar -C "$dir" -c Dockerfile large.tar | DOCKER_BUILDKIT=0 docker build --quiet --tag "bench/large:$seed" - >/dev/null 2>&1
        rm "$dir/large.tar"
    done
    note "$(docker image inspect --format '{{.Size}}' "${images[@]}" | paste -s -d ' ') bytes"
    export XDG_CACHE_HOME=$dir/cache
    for n in $(seq "$PAIRS"); do
        timed "$dir/diff.reading" read_both "${images[@]}"
        timed "$dir/diff.hand" "$here/bench.d/diff-by-hand" "${images[@]}"
        unknown_layers
        peak diff "$LOWTIDE_BIN" --state "$dir/none" diff --json "engine:${images[0]}" "engine:${images[1]}"
        note "pair $n: reading $(tail -n 1 "$dir/diff.reading") s, by hand $(tail -n 1 "$dir/diff.hand") s, lowtide $(tail -n 1 "$dir/diff.s") s"
    done
    compare diff s "$dir/diff.s" "$dir/diff.reading" "reading alone"
    compare "diff by hand" s "$dir/diff.s" "$dir/diff.hand" "by hand"
    note "memory: $(median <"$dir/diff.mb") MB"
}
