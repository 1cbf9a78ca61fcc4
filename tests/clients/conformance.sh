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
# Leadership stays where it is, also on a machine with other work.
start_cluster cluster --election-timeout-ms 2000
n=0 code=1
while [ "$code" != 0 ]; do
    before=$("$CTL" leader --endpoints "$ENDPOINTS")
    port=$("$CTL" leader --address --endpoints "$ENDPOINTS")
    port=${port##*:}
    code=0
    "$here/conformance.py" compare "$REDIS_PORT" "$port" \
        $((PORT + (port - PORT + 1) % 3)) >"$DIR/out" || code=$?
    # What was asked of a leader that was none any more says nothing.
    n=$((n + 1))
    [ "$code" != 0 ] && [ "$n" -lt 5 ] &&
        [ "$("$CTL" leader --endpoints "$ENDPOINTS")" != "$before" ] || break
    echo 'another node leads: once more'
done
cat "$DIR/out"
exit "$code"
