# shellcheck shell=bash
# GitHub's published description of its API, against which the tests check every request. Sourced, never run.

GITHUB_DESCRIPTION=23.0.2

# github_description: fetches it once from npm (GitHub's own package @octokit/openapi); prints the path of the JSON.
github_description() {
    local json=$CACHE/github-api-$GITHUB_DESCRIPTION.json dir
    if [ ! -s "$json" ]; then
        need npm npm
        say "GitHub's API description (@octokit/openapi $GITHUB_DESCRIPTION from npm)"
        mkdir -p "$CACHE"
        dir=$(mktemp -d)
        (cd "$dir" && npm pack --silent "@octokit/openapi@$GITHUB_DESCRIPTION") >/dev/null ||
            die "npm cannot fetch @octokit/openapi"
        # The other 600 MB of the package stay packed.
        tar -xzOf "$dir"/octokit-openapi-*.tgz package/generated/api.github.com.json >"$json.part" ||
            die "@octokit/openapi holds no generated/api.github.com.json"
        mv "$json.part" "$json"
        rm -rf "$dir"
    fi
    echo "$json"
}
