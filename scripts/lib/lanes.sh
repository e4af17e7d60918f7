# shellcheck shell=bash
# Groups of tests in lanes that run side by side, and their counts. Sourced, never run.
#
# A count is a line "GROUP PASSED FAILED IGNORED SECONDS" in the lane's file in LOWTIDE_TALLIES; a lane that dies leaves those it has.

LANES=()
# A run that takes longer is stopped, and says what it was doing. Below the 90 minutes that a check may take.
TEST_MINUTES=${LOWTIDE_TEST_MINUTES:-80}

has() {
    local wanted=$1 one
    shift
    for one in "$@"; do
        [ "$one" != "$wanted" ] || return 0
    done
    return 1
}

# has_one_of "A B …" WORD…: one of the words is A or B or ….
has_one_of() {
    local one list=$1
    shift
    for one in $list; do
        ! has "$one" "$@" || return 0
    done
    return 1
}

minutes() { printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); }

# plan_lane NAME GROUP…: which groups may never run side by side.
plan_lane() { LANES+=("$*"); }

# run_lanes FUNCTION DIR GROUP…: calls `FUNCTION LANE GROUP…` for each planned lane that has one of the groups, side by side. Logs and
# counts are in DIR.
run_lanes() {
    local function=$1 dir=$2 lane name words chosen=() one
    shift 2
    rm -f "$dir/late" "$dir"/*.ended
    export LOWTIDE_TALLIES=$dir/tallies LOWTIDE_POINTS=$dir/points
    mkdir -p "$LOWTIDE_TALLIES"
    for lane in "${LANES[@]}"; do
        read -r name words <<<"$lane"
        lane=$name
        for one in $words; do
            ! has "$one" "$@" || lane="$lane $one"
        done
        [ "$lane" = "$name" ] || chosen+=("$lane")
    done
    LANE_PIDS=()
    WATCHER=
    trap stop_lanes INT TERM HUP
    for lane in "${chosen[@]}"; do
        start_lane "$function" "$dir" "$lane" ${#chosen[@]}
    done
    set -m
    watch_lanes "$dir" </dev/null &
    WATCHER=$!
    set +m
    for one in "${LANE_PIDS[@]}"; do
        wait "$one" || true
    done
    kill -- "-$WATCHER" 2>/dev/null || true
    trap - INT TERM HUP
    note "the least free room there was: $(cat "$dir/room" 2>/dev/null)"
    [ ! -e "$dir/late" ] || unfinished "$dir" "${chosen[@]}"
    [ ${#chosen[@]} -eq 1 ] || show_failures "$dir" "${chosen[@]}"
}

# Whoever waits for a run would cut it off without a word of what it was doing; we stop in time to say it. Meanwhile the least room
# there was is noted: a full disk or memory fails tests that have nothing to do with each other.
watch_lanes() {
    local dir=$1 pid disk memory least_disk=999999999 least_memory=999999999
    trap - INT TERM HUP
    while [ "$SECONDS" -lt $((TEST_MINUTES * 60)) ]; do
        disk=$(df -Pm "$dir" | awk 'NR == 2 { print $4 }')
        memory=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
        if [ "$disk" -lt "$least_disk" ] || [ "$memory" -lt "$least_memory" ]; then
            least_disk=$((disk < least_disk ? disk : least_disk)) least_memory=$((memory < least_memory ? memory : least_memory))
            echo "$least_disk MB of disk, $least_memory MB of memory" >"$dir/room"
        fi
        sleep 5
    done
    touch "$dir/late"
    for pid in "${LANE_PIDS[@]}"; do
        as_root kill -TERM -- "-$pid" 2>/dev/null || true
    done
    # What does not stop when it is told to.
    sleep 60
    for pid in "${LANE_PIDS[@]}"; do
        as_root kill -KILL -- "-$pid" 2>/dev/null || true
    done
}

# A lane that was stopped: what libtest said runs for long, without what ended since.
unfinished() {
    local dir=$1 lane name
    shift
    for lane in "$@"; do
        name=${lane%% *}
        # A lane that had ended has a count for each of its groups.
        [ ! -e "$dir/$name.ended" ] || continue
        say "The lane $name had not ended after $TEST_MINUTES minutes. Its last lines, and what ran for more than a minute:"
        tail -n 15 "$dir/$name.log" >&2
        awk '/ has been running for over 60 seconds$/ { long[$2] = 1 } /^test .* \.\.\. / { delete long[$2] }
            END { for (one in long) print "    still running: " one }' "$dir/$name.log" >&2
        echo "${lane##* } 0 1 0 0" >>"$dir/tallies/$name"
    done
}

# A process group of its own: it is stopped whole, and Ctrl-C is not ignored in it. What reads its output outlives it: a lane that
# is told to stop still has things to put away, and a broken pipe would end it in the middle of that.
start_lane() {
    local function=$1 dir=$2 count=$4 words log
    read -r -a words <<<"$3"
    log=$dir/${words[0]}.log
    set -m
    if [ "$count" -eq 1 ]; then
        (lane_of "$function" "$dir" "${words[@]}" 2>&1 | (trap '' INT TERM HUP && exec tee "$log" >&2)) &
    else
        say "Side by side: ${words[*]:1}"
        (lane_of "$function" "$dir" "${words[@]}" 2>&1 |
            (trap '' INT TERM HUP && tee "$log" | sed -un 's/^    COUNTED /    /p' >&2)) &
    fi
    LANE_PIDS+=($!)
    set +m
}

lane_of() {
    local function=$1 dir=$2
    shift 2
    LOWTIDE_LANE=$1 "$function" "$@" </dev/null
    touch "$dir/$1.ended"
}

stop_lanes() {
    local pid
    trap '' INT TERM HUP
    [ -z "$WATCHER" ] || kill -- "-$WATCHER" 2>/dev/null || true
    for pid in "${LANE_PIDS[@]}"; do
        as_root kill -TERM -- "-$pid" 2>/dev/null || true
    done
    wait || true
    exit 130
}

# A log's end is what is read first, and often all that is kept of it: what failed comes last.
show_failures() {
    local dir=$1 lane name
    shift
    for lane in "$@"; do
        name=${lane%% *}
        if ! grep -qsE '^[^ ]+ [0-9]+ [1-9]' "$dir/tallies/$name"; then continue; fi
        say "What failed in the lane $name (all of it: $dir/$name.log)"
        # With --nocapture a panic is not among the failures but before them.
        awk '/^failures:$/ || / panicked at / { on = 1 } on || /FAILED/ { print } /^test result:/ || /^test .* FAILED$/ { on = 0 }' \
            "$dir/$name.log" | tail -n 150 >&2
    done
}

# count GROUP PASSED FAILED IGNORED SECONDS
count() {
    note "COUNTED $1: $2 passed, $3 failed, $4 ignored in $(minutes "$5")"
    echo "$*" >>"$LOWTIDE_TALLIES/$LOWTIDE_LANE"
}

# broken GROUP WHAT: something that is no test did not work.
broken() {
    note "$1: FAILED: $2"
    count "$1" 0 1 0 0
}

# check GROUP CMD…: something that either holds or does not; only a failure counts.
check() {
    local group=$1 from=$SECONDS
    shift
    note "$group: $*"
    if "$@" >&2; then
        note "COUNTED $group: $* holds, $(minutes $((SECONDS - from)))"
    else
        broken "$group" "$*"
    fi
}

# libtest GROUP BINARY ARGS…: runs a test binary and adds up the counts it prints.
libtest() {
    local group=$1 log status=0 p f i from=$SECONDS
    shift
    log=$(mktemp)
    say "$group"
    "$@" 2>&1 | tee "$log" || status=$?
    read -r p f i < <(awk '/^test result:/ { p += $4; f += $6; i += $8 } END { print p + 0, f + 0, i + 0 }' "$log")
    # Other lanes have no such line, and write nothing over it.
    ! grep -q 'kill points converge$' "$log" || grep 'kill points converge$' "$log" | tail -n 1 >"$LOWTIDE_POINTS"
    # One that died has no count of its own.
    if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    count "$group" "$p" "$f" "$i" $((SECONDS - from))
    # At once: nobody has to wait for the end, and a run that is cut off has said it.
    [ "$f" -eq 0 ] || awk '/^test .* \.\.\. FAILED/ { print "    COUNTED     failed: " $2 }' "$log" >&2
    rm -f "$log"
}

# script GROUP CMD…: runs a script whose last line says "N passed, N failed".
script() {
    local group=$1 log status=0 p f from=$SECONDS
    shift
    log=$(mktemp)
    "$@" | tee "$log" || status=$?
    read -r p f < <(tail -n 1 "$log" | awk '/ passed, .* failed/ { print $1, $3; done = 1 } END { if (!done) print 0, 0 }')
    rm -f "$log"
    if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    count "$group" "$p" "$f" 0 $((SECONDS - from))
}

# summary DIR GROUP…: the last lines. Fails when something failed, or nothing was counted.
summary() {
    local dir=$1 p f i
    shift
    read -r p f i < <(cat "$dir"/tallies/* 2>/dev/null | awk '{ p += $2; f += $3; i += $4 } END { print p + 0, f + 0, i + 0 }')
    if [ "$i" -gt 0 ]; then
        printf '\n%s passed, %s failed, %s skipped\n' "$p" "$f" "$i"
    else
        printf '\n%s passed, %s failed\n' "$p" "$f"
    fi
    [ "$*" != kill-matrix ] || cat "$dir/points"
    [ "$f" -eq 0 ] && [ "$p" -gt 0 ]
}
