#!/bin/sh
# The repository's own tests, run inside the container. They need curl, which only the testing mode has.
set -u
mkdir -p /results
cases='' count=0 failures=0

# check NAME PATH EXPECTED: the page has the text.
check() {
    count=$((count + 1))
    got=$(curl -fsS "http://127.0.0.1:8080$2" 2>&1)
    if printf '%s' "$got" | grep -qF "$3"; then
        echo "ok   $1"
        cases="$cases<testcase classname=\"web\" name=\"$1\"/>"
    else
        echo "FAIL $1: expected '$3', got '$got'"
        failures=$((failures + 1))
        cases="$cases<testcase classname=\"web\" name=\"$1\"><failure message=\"expected '$3'\">got '$got'</failure></testcase>"
    fi
}

check front_page_greets / 'Hello from the web service.'
check health_page_is_ok /healthz ok

printf '<?xml version="1.0"?>\n<testsuite name="web" tests="%d" failures="%d">%s</testsuite>\n' \
    "$count" "$failures" "$cases" >/results/web.xml
[ "$failures" -eq 0 ]
