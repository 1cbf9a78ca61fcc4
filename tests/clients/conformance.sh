#!/bin/sh
# Every case of conformance once more, of a real redis-server and of a cluster of
# three: of its leader, then of a follower (conformance.py compare).
#
#   conformance.sh CONCORDCTL CONCORDKV
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
CTL=$1 SERVER=$2
. "$here/lib.sh"
start_redis
start_cluster cluster
leader=$("$CTL" leader --address --endpoints "$ENDPOINTS")
leader=${leader##*:}
"$here/conformance.py" compare "$REDIS_PORT" "$leader" \
    $((PORT + (leader - PORT + 1) % 3))
