# shellcheck shell=bash
# The tests of a commit in its own stack of five services. Sourced by scripts/bench, never run; the names it works with are set there.
# shellcheck disable=SC2154

# stack_file: what both sides start. The image under test has no command of its own: there is no start as it ships to add.
stack_file() {
    local health='{ test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1:8080/"], interval: 500ms, retries: 40 }'
    local serve='[sh, -c, "mkdir -p /www; echo ready >/www/index.html; exec httpd -f -p 8080 -h /www"]'
    local name
    echo "services:"
    for name in db cache queue; do
        printf '  %s:\n    image: "%s"\n    command: %s\n    healthcheck: %s\n' "$name" "$base" "$serve" "$health"
    done
    printf '  worker:\n    image: "%s"\n    command: %s\n    healthcheck: %s\n' "$base" "$serve" "$health"
    printf '    depends_on: { db: { condition: service_healthy }, queue: { condition: service_healthy } }\n'
    printf '  web:\n    build: .\n    image: stack/web:1\n    command: %s\n    healthcheck: %s\n' "$serve" "$health"
    printf '    depends_on: { db: { condition: service_healthy }, cache: { condition: service_healthy }, worker: { condition: service_started } }\n'
}

stack_by_hand() {
    local project=("$LOWTIDE_BENCH_COMPOSE" --project-name stack-hand --file "$dir/stack.src/compose.yml")
    "${project[@]}" up --wait --no-build && "${project[@]}" exec -T web /check && "${project[@]}" down --volumes --timeout 0
}

# tested: seconds of bootstrap and test in the newest run.
tested() {
    local run
    run=$(lowtide history web --json | jq -r '.runs[0].run')
    lowtide show "$run" --json | jq '[.stages[] | select(.what == "bootstrap" or .what == "test") | .took_ms] | add / 1000'
}

bench_stack() {
    local n
    git init --quiet --bare --initial-branch=main "$dir/stack.git"
    git init --quiet --initial-branch=main "$dir/stack.src"
    in_repo remote add origin "file://$dir/stack.git"
    printf 'FROM %s\nCOPY check /\nCOPY version /\nCMD []\n' "$base" >"$dir/stack.src/Dockerfile"
    printf '#!/bin/sh\nfor name in db cache queue worker; do wget -q -O /dev/null "http://$name:8080/" || exit 1; done\n' >"$dir/stack.src/check"
    chmod 755 "$dir/stack.src/check"
    stack_file >"$dir/stack.src/compose.yml"
    commit first
    docker build --quiet --tag stack/web:1 "$dir/stack.src" >"$dir/last.log" 2>&1 || die "the image does not build: $(cat "$dir/last.log")"
    mkdir -m 700 "$dir/stack.state"
    cat >"$dir/stack.yml" <<YAML
version: 1
mode: observe
hosts: { here: { docker: "unix://${DOCKER_HOST#unix://}" } }
apps:
  web:
    source: { repo: "file://$dir/stack.git", branch: main }
    schedule: never
    test: { compose: {}, steps: [ { exec: [/check] } ] }
YAML
    for n in $(seq "$PAIRS"); do
        timed "$dir/stack.hand" stack_by_hand
        commit "$n"
        lowtide run web >"$dir/last.log" 2>&1 || die "lowtide: $(tail -n 20 "$dir/last.log")"
        tested >>"$dir/stack.lowtide"
        note "pair $n: compose $(tail -n 1 "$dir/stack.hand") s, lowtide $(tail -n 1 "$dir/stack.lowtide") s"
    done
    compare stack s "$dir/stack.lowtide" "$dir/stack.hand" "docker compose up --wait, exec and down"
}
