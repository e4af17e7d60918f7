#!/bin/sh
# Starts the service. With WEB_TESTING_TOOLS=TRUE the testing tools are fetched first; they are never part of the image.
set -eu
if [ "${WEB_TESTING_TOOLS:-}" = TRUE ]; then
    apt-get -q update
    apt-get -q -y install --no-install-recommends curl
fi
exec perl /srv/web/server.pl 8080
