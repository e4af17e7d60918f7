# shellcheck shell=bash
# A build context of very many small files. Sourced by scripts/bench, never run; the names it works with are set there.
# shellcheck disable=SC2154

# What a build by hand may take; one that was ended then is counted with it.
PATIENCE=300

# build_by_hand NAME BUILDKIT CLONE: seconds to context.NAME.
build_by_hand() {
    local status=0 from
    from=$(now)
    DOCKER_BUILDKIT=$2 timeout --kill-after 10 "$PATIENCE" docker build --quiet --no-cache --tag "context/$1" "$3" \
        >"$dir/last.log" 2>&1 || status=$?
    case $status in
        0) ;;
        124 | 137) unfinished[$1]=" (ended after $PATIENCE s)" ;;
        *) die "docker build, $1: $(tail -n 5 "$dir/last.log")" ;;
    esac
    echo "$from $(now)" | awk '{ printf "%.3f\n", $2 - $1 }' >>"$dir/context.$1"
}

# Newer clients have it in a plugin, buildx, which may be missing.
with_buildkit() { printf 'FROM scratch\nLABEL context=tried\n' | DOCKER_BUILDKIT=1 docker build --quiet --tag context/tried -; }

# stages_of_newest: what each stage of the newest run took, from its journal.
stages_of_newest() {
    local run stage took
    run=$(lowtide history context --json | jq --raw-output '.runs[0].run')
    lowtide show "$run" --json >"$dir/context.json"
    for stage in resolve build inspect; do
        took=$(jq --arg stage "$stage" '.stages[] | select(.what == $stage and .state == "done") | .took_ms / 1000' "$dir/context.json")
        [ -n "$took" ] || die "no $stage: $(tail -n 20 "$dir/last.log")"
        echo "$took" >>"$dir/context.$stage"
    done
}

# together FILE FILE: the sums of their lines.
together() { paste "$1" "$2" | awk '{ printf "%.3f\n", $1 + $2 }'; }

bench_context() {
    local n kind stage builders=(classic)
    declare -A unfinished=()
    if with_buildkit >"$dir/last.log" 2>&1; then
        builders+=(buildkit)
    else
        note "no docker build with BuildKit: $(head -n 1 "$dir/last.log")"
    fi
    git init --quiet --bare --initial-branch=main "$dir/context.git"
    git init --quiet --initial-branch=main "$dir/context.src"
    in_repo remote add origin "file://$dir/context.git"
    printf 'FROM scratch\nCOPY . /app\nCMD ["/app/x"]\n' >"$dir/context.src/Dockerfile"
    mkdir -m 700 "$dir/context.state"
    printf 'version: 1\nmode: observe\nhosts: { here: { docker: "unix://%s" } }\napps:\n  context: { source: { repo: "file://%s" }, schedule: never }\n' \
        "${DOCKER_HOST#unix://}" "$dir/context.git" >"$dir/context.yml"
    # Nothing is deleted in between: for minutes ext4 does not take the inodes of deleted files again and searches past them
    # (recently_deleted in fs/ext4/ialloc.c), so that whoever makes 100,000 files next seems slow.
    for n in $(seq "$PAIRS"); do
        local clone=$dir/context.clone.$n
        "$python" "$here/bench.d/small.py" "$dir/context.src" "$n"
        commit "$n"
        sync
        timed "$dir/context.clone.s" git clone --quiet --depth 1 "file://$dir/context.git" "$clone"
        sync
        for kind in "${builders[@]}"; do
            build_by_hand "$kind" "$([ "$kind" = classic ] && echo 0 || echo 1)" "$clone"
            sync
        done
        # It ends at the test: there is no program in the image.
        peak context "$LOWTIDE_BIN" --config "$dir/context.yml" --state "$dir/context.state" run context --now
        stages_of_newest
        note "pair $n: git clone $(tail -n 1 "$dir/context.clone.s") s$(for kind in "${builders[@]}"; do
            printf ', docker build %s %s s' "$kind" "$(tail -n 1 "$dir/context.$kind")"
        done); lowtide$(for stage in resolve build inspect; do
            printf ' %s %s s' "$stage" "$(tail -n 1 "$dir/context.$stage")"
        done), $(tail -n 1 "$dir/context.mb") MB"
        sync
    done
    # A clone also writes the files, which lowtide does while it builds.
    compare "100,000 files, resolve" s "$dir/context.resolve" "$dir/context.clone.s" "git clone"
    together "$dir/context.resolve" "$dir/context.build" >"$dir/context.ours"
    for kind in "${builders[@]}"; do
        together "$dir/context.clone.s" "$dir/context.$kind" >"$dir/context.$kind.theirs"
        compare "100,000 files, resolve and build" s "$dir/context.ours" "$dir/context.$kind.theirs" \
            "git clone and docker build, $kind${unfinished[$kind]:-}"
        compare "100,000 files, build" s "$dir/context.build" "$dir/context.$kind" "docker build, $kind${unfinished[$kind]:-}"
    done
    summary+=("100,000 files, inspect: lowtide $(median <"$dir/context.inspect") s, memory at most $(median <"$dir/context.mb") MB")
}
