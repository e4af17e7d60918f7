# shellcheck shell=bash
# What the users of a service notice of a rollout. Sourced by scripts/bench, never run; the names it works with are set there.
# shellcheck disable=SC2154

ROLLS=${LOWTIDE_BENCH_ROLLS:-50}
RATE=${LOWTIDE_BENCH_RATE:-600}
LEAST_REQUESTS=10000

# p95 of the numbers on stdin, one a line: the smallest one that 95 % do not exceed.
p95() { sort -g | awk '{ a[NR] = $1 } END { i = NR * 0.95; if (i > int(i)) i = int(i) + 1; print a[i] }'; }

# plain_app SOURCE READY TARGET: repository, first image and configuration of an app without tests and registry: what is
# measured is the rollout. READY and TARGET are the YAML of its keys.
plain_app() {
    git init --quiet --bare --initial-branch=main "$dir/$bench.git"
    git init --quiet --initial-branch=main "$dir/$bench.src"
    in_repo remote add origin "file://$dir/$bench.git"
    cp -R "$here/bench.d/$1/." "$dir/$bench.src/"
    sed -i "s|@BASE@|$base|" "$dir/$bench.src/Dockerfile"
    commit first
    image_of_hand 1
    mkdir -m 700 "$dir/$bench.state"
    cat >"$dir/$bench.yml" <<YAML
version: 1
timezone: UTC
mode: active
hosts:
  here: { docker: "unix://${DOCKER_HOST#unix://}" }
apps:
  web:
    source: { repo: "file://$dir/$bench.git", branch: main }
    schedule: never
    ready: $2
    rollout:
      - $3
YAML
}

# image_of_hand TAG: what plain docker build makes of the working copy.
image_of_hand() {
    DOCKER_BUILDKIT=0 docker build --quiet --tag "$bench/web:$1" "$dir/$bench.src" >/dev/null 2>&1 || die "the image does not build"
}

# distribution NAME: "median, p95" of $dir/NAME.
distribution() { echo "median $(median <"$dir/$1") s, p95 $(p95 <"$dir/$1") s, longest $(sort -g "$dir/$1" | tail -n 1) s"; }

# ---- stop-first: how long nobody answers ----------------------------------------------------------------------------------------

compose_file() { printf 'services: { web: { image: "%s/web:latest", ports: ["127.0.0.1:%s:8080"] } }\n' "$bench" "$1"; }
compose_project() { "$LOWTIDE_BENCH_COMPOSE" --project-name "$bench" --file "$dir/$bench.compose.yml" "$@"; }

bench_rolls() {
    local n port limit ours
    port=$(free_port 8090)
    plain_app web "{ healthcheck: true, timeout: 1m }" \
        "{ label: { host: here, key: org.lowtide.bench, value: rolls }, bake: 0s, order: stop-first }"
    docker run -d --name gap-lowtide --label org.lowtide.bench=rolls --publish "127.0.0.1:$port:8080" rolls/web:1 >/dev/null
    wait_until 10 answers || die "the container does not answer"
    for n in $(seq "$ROLLS"); do
        gap_of "$dir/rolls.docker" stop_start
        commit "$n"
        gap_of "$dir/rolls.lowtide" lowtide run web --now
    done
    docker rm --force gap-lowtide >/dev/null
    compose_file "$port" >"$dir/$bench.compose.yml"
    docker tag rolls/web:1 rolls/web:latest
    compose_project up --detach >"$dir/last.log" 2>&1 || die "compose: $(cat "$dir/last.log")"
    for n in $(seq "$ROLLS"); do
        commit "compose $n"
        image_of_hand latest
        wait_until 10 answers || die "the container of compose does not answer"
        gap_of "$dir/rolls.compose" compose_project up --detach
    done
    compose_project down >"$dir/last.log" 2>&1
    gaps_of_swarm
    for n in docker compose swarm lowtide; do
        note "$n: $(distribution "rolls.$n")"
    done
    limit=$(p95 <"$dir/rolls.docker" | awk '{ print $1 + 1 }')
    ours=$(p95 <"$dir/rolls.lowtide")
    summary+=("stop-first, no answer in $ROLLS rolls: lowtide $(distribution rolls.lowtide)")
    summary+=("docker stop + start $(distribution rolls.docker)")
    summary+=("docker compose up -d $(distribution rolls.compose)")
    summary+=("docker service update $(distribution rolls.swarm)")
    summary+=("at most stop + start + ready + 1 s = $limit s at p95: $(awk -v a="$ours" -v b="$limit" 'BEGIN { print a <= b ? "held" : "NOT HELD" }')")
}

# A fifth of the rolls: Swarm watches each for five seconds. A port of the host is given by the host, as for the others.
gaps_of_swarm() {
    local n
    docker swarm init --advertise-addr 127.0.0.1 >/dev/null
    docker service create --name web --no-resolve-image --publish "mode=host,published=$port,target=8080" rolls/web:1 \
        >"$dir/last.log" 2>&1 || die "swarm: $(tail -n 5 "$dir/last.log")"
    for n in $(seq $(((ROLLS + 4) / 5))); do
        commit "swarm $n"
        image_of_hand "swarm-$n"
        wait_until 20 answers || die "the service of swarm does not answer"
        gap_of "$dir/rolls.swarm" docker service update --no-resolve-image --image "rolls/web:swarm-$n" web
    done
    docker swarm leave --force >/dev/null
}

# ---- start-first: who is turned away --------------------------------------------------------------------------------------------

# The reverse proxies of the distribution, in one image.
edge_image() {
    docker image inspect front/edge >/dev/null 2>&1 && return
    import "$(debian_behind)" front/debian
    cp -R "$here/bench.d/edge" "$dir/edge"
    sed -i "s|@BASE@|front/debian|" "$dir/edge/Dockerfile"
    DOCKER_BUILDKIT=0 docker build --quiet --tag front/edge "$dir/edge" >"$dir/last.log" 2>&1 || die "the proxies: $(tail -n 5 "$dir/last.log")"
}

# under_load ROW CMD…: repeats CMD N (N from 1 on) under load until enough was asked; keeps a line for the summary.
under_load() {
    local row=$1 n=0 load address from
    shift
    address=$(docker inspect --format '{{.NetworkSettings.Networks.bridge.IPAddress}}' edge)
    rm -f "$dir/load" "$dir/load.begun"
    "$python" "$here/bench.d/steady.py" "$address" 80 "$RATE" "$dir/load" &
    load=$!
    wait_until 20 test -e "$dir/load.begun" || die "no answer before: $row"
    from=$SECONDS
    until [ $((SECONDS - from)) -ge $((LEAST_REQUESTS / RATE + 2)) ]; do
        n=$((n + 1))
        "$@" "$n" >"$dir/last.log" 2>&1 || {
            tail -n 20 "$dir/last.log" >&2
            die "failed: $row"
        }
    done
    stop_pid "$load"
    row="$row: $(jq -r --arg n "$n" '"\(.failed) failed of \(.requests) (\(.requests / .seconds | round)/s) in \($n) \(if $n == "1" then "update" else "updates" end), slowest \(.slowest) s\(if .failed > 0 then " " + (.how | tojson) else "" end)"' "$dir/load")"
    note "$row"
    summary+=("$row")
}

replicas() { seq -f "front-%g" "$1"; }

# start_edge PROXY NETWORK: in that network, and in one where it can be reached from here.
start_edge() {
    docker create --name edge front/edge "$1" >/dev/null
    docker network connect "$2" edge
    docker start edge >/dev/null
    wait_until 10 docker exec edge /edge/up || die "$1 did not start: $(docker logs edge 2>&1 | tail -n 5)"
}

lowtide_update() {
    commit "$proxy $count $1"
    lowtide run web --now
}

front_of_lowtide() {
    local name address
    docker network create front >/dev/null
    start_edge "$proxy" front
    for name in $(replicas "$count"); do
        docker run -d --name "$name" --network front --label org.lowtide.bench=front front/web:1 >/dev/null
        address=$(docker inspect --format '{{.NetworkSettings.Networks.front.IPAddress}}' "$name")
        docker exec --env LOWTIDE_ADDRESS="$address" edge /edge/join >"$dir/last.log" 2>&1
    done
    under_load "start-first, $count replicas behind $proxy: lowtide" lowtide_update
    docker ps --all --quiet --filter label=org.lowtide.bench=front | xargs docker rm --force >/dev/null
    docker rm --force edge >/dev/null
    docker network rm front >/dev/null
}

compose_update() {
    commit "compose $count $1"
    image_of_hand latest
    compose_project up --detach
}

# nginx that asks DNS anew each second: the addresses are others after every update.
front_of_compose() {
    docker tag front/web:1 front/web:latest
    printf 'services: { web: { image: "front/web:latest", deploy: { replicas: %s } } }\n' "$count" >"$dir/$bench.compose.yml"
    compose_project up --detach >"$dir/last.log" 2>&1 || die "compose: $(cat "$dir/last.log")"
    start_edge dns front_default
    under_load "$count replicas behind nginx: docker compose up -d" compose_update
    docker rm --force edge >/dev/null
    compose_project down >"$dir/last.log" 2>&1
}

swarm_update() {
    commit "swarm $count $1"
    image_of_hand "swarm-$1"
    docker service update --no-resolve-image --image "front/web:swarm-$1" web
}

front_of_swarm() {
    docker network create --driver overlay --attachable swarming >/dev/null
    docker service create --name web --network swarming --endpoint-mode dnsrr --replicas "$count" --no-resolve-image \
        --update-order start-first --update-delay 2s front/web:1 >"$dir/last.log" 2>&1 || die "swarm: $(tail -n 5 "$dir/last.log")"
    start_edge dns swarming
    under_load "$count replicas behind nginx: docker service update, start-first" swarm_update
    docker rm --force edge >/dev/null
    docker service rm web >/dev/null
    wait_until 60 docker network rm swarming || die "the overlay network stays"
}

bench_front() {
    local count proxy
    edge_image
    plain_app front "{ http: { port: 8080, path: / }, timeout: 1m }" "label: { host: here, key: org.lowtide.bench, value: front }
        bake: 0s
        router: { container: edge, join: [/edge/join], leave: [/edge/leave], drain: 2s }"
    docker swarm init --advertise-addr 127.0.0.1 >/dev/null
    for count in 3 10; do
        for proxy in nginx haproxy; do
            front_of_lowtide
        done
        front_of_compose
        front_of_swarm
    done
    docker swarm leave --force >/dev/null
}

# ---- the way back, and the way on -----------------------------------------------------------------------------------------------

by_hand_back() {
    docker stop "$1" && docker rename "$1" "$1-failed" && docker rename "$1-old" "$1" && docker start "$1" && wait_until 10 serves "$1"
}
serves() { [ "$(docker inspect --format '{{.State.Health.Status}}' "$1")" = healthy ]; }

bench_back() {
    local n took
    plain_app back "{ healthcheck: true, timeout: 1m }" "{ label: { host: here, key: org.lowtide.bench, value: back }, bake: 20s }"
    docker run -d --name back-lowtide --label org.lowtide.bench=back back/web:1 >/dev/null
    for n in $(seq "$PAIRS"); do
        commit "broken $n"
        ! lowtide run web --now >"$dir/last.log" 2>&1 || die "a broken version went through"
        took=$("$python" "$here/bench.d/back.py" "$dir/back.state/lowtide.db") || die "$(tail -n 5 "$dir/last.log")"
        echo "${took% *}" >>"$dir/back.all"
        echo "${took#* }" >>"$dir/back.served"
        lowtide resume web --reason "the bench goes on" >"$dir/last.log" 2>&1
        docker run -d --name back-hand-old back/web:1 >/dev/null
        docker stop back-hand-old >/dev/null
        docker run -d --name back-hand back/web:1 >/dev/null
        timed "$dir/back.hand" by_hand_back back-hand
        docker rm --force back-hand back-hand-failed >/dev/null
        note "pair $n: from the verdict to the end without readiness ${took% *} s, until it serves ${took#* } s, by hand $(tail -n 1 "$dir/back.hand") s"
    done
    compare "back, verdict to serving" s "$dir/back.served" "$dir/back.hand" "docker stop + rename + start + ready"
    summary+=("back, without readiness: longest $(sort -g "$dir/back.all" | tail -n 1) s (at most 5 s)")
}

bench_onward() {
    local n db=$dir/onward.state/lowtide.db killed from asked
    # What is left of a bake is waited for rightly: it would be counted as a delay.
    plain_app web "{ healthcheck: true, timeout: 1m }" "{ label: { host: here, key: org.lowtide.bench, value: onward }, bake: 100ms }"
    docker run -d --name onward-lowtide --label org.lowtide.bench=onward onward/web:1 >/dev/null
    # The database is made.
    lowtide run web --now >"$dir/last.log" 2>&1 || die "the first cycle failed: $(tail -n 20 "$dir/last.log")"
    for n in $(seq "$PAIRS"); do
        timed "$dir/onward.docker" docker version
        commit "$n"
        serve_lowtide
        wait_until 30 ready || die "serve is not ready: $(tail -n 5 "$dir/onward.log")"
        killed=$(term "$db")
        lowtide run web --now >/dev/null 2>&1 &
        asked=$!
        # Each time at another step.
        "$python" "$here/bench.d/first.py" "$db" begun "$killed" rollout $((3 * n + 3)) || die "no rollout came so far"
        kill -KILL "$served"
        wait "$served" "$asked" 2>/dev/null || true
        from=$(now)
        serve_lowtide
        "$python" "$here/bench.d/first.py" "$db" next "$killed" rollout "$from" >>"$dir/onward.again" || die "nothing follows a kill"
        "$python" "$here/bench.d/first.py" "$db" over || die "the rollout does not end"
        stop_pid "$served"
        note "pair $n: next step after kill -9 $(tail -n 1 "$dir/onward.again") s"
    done
    compare "a rollout after kill -9" s "$dir/onward.again" "$dir/onward.docker" "docker version"
    summary+=("longest $(sort -g "$dir/onward.again" | tail -n 1) s (at most 2 s)")
}
