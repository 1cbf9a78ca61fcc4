#!/bin/sh
# One client library against a real redis-server and against a cluster of three,
# with one program that knows nothing of which it is: see README.md.
#
#   library.sh CONCORDCTL CONCORDKV FOLDER hiredis|python|go
#
# FOLDER has the hiredis program, and takes the Go one.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
CTL=$1 SERVER=$2 FOLDER=$3 LIBRARY=$4
. "$here/lib.sh"

client() { "$PROGRAM" "$@"; }
case $LIBRARY in
hiredis) PROGRAM=$FOLDER/client_hiredis ;;
python)
    # The first Python that has the library: Debian's own may not be the first
    # on PATH.
    PYTHON=''
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import redis' 2>/dev/null; then
            PYTHON=$python
            break
        fi
    done
    [ -n "$PYTHON" ] || fail 'python3-redis is missing: scripts/install-deps check'
    client() { "$PYTHON" "$here/client.py" "$@"; }
    ;;
go)
    command -v go >/dev/null || fail 'go is missing: scripts/install-deps check'
    PROGRAM=$FOLDER/client_go
    # Both caches stay for the next build; a home may not be there.
    [ -n "${HOME:-}" ] || export GOCACHE="$FOLDER/go-cache" GOPATH="$FOLDER/go"
    (cd "$here/go" && GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0 \
        go build -o "$PROGRAM" .) || fail 'the Go client could not be built' \
        '(its modules come from the module proxy)'
    ;;
*) fail "no library '$LIBRARY'" ;;
esac

# Run the load on addresses $@ in the background.
load_begin() {
    rm -f "$DIR/stop" "$DIR/load.log"
    client load --resp "$RESP" --stop "$DIR/stop" "$@" >"$DIR/load.log" 2>&1 &
    LOAD_PID=$!
    load_wait 100
}

# Wait for $1 more rounds of the load.
load_wait() {
    goal=$(($(load_rounds) + $1))
    tries=0
    until [ "$(load_rounds)" -ge "$goal" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 1200 ] || ! kill -0 "$LOAD_PID" 2>/dev/null; then
            cat "$DIR/load.log"
            fail 'the load does not go on'
        fi
        sleep 0.05
    done
}

load_rounds() {
    sed -n 's/^rounds //p' "$DIR/load.log" 2>/dev/null |
        awk '{ n = $1 } END { print n + 0 }'
}

load_end() {
    : >"$DIR/stop"
    wait "$LOAD_PID" || { cat "$DIR/load.log" && fail 'the load failed'; }
    LOAD_PID=''
    sed -n 's/^load:/  &/p' "$DIR/load.log"
}

# The load on addresses $@ while the leader of $1 is killed three times.
load_with_kills() {
    cluster=$DIR/$1
    shift
    load_begin "$@"
    for kill in 1 2 3; do
        "$CTL" local kill --dir "$cluster" --node leader >"$DIR/kill.log" ||
            { cat "$DIR/kill.log" && fail "kill $kill failed"; }
        load_wait 200
        "$CTL" local up --dir "$cluster" >"$DIR/up.log" 2>&1 ||
            { cat "$DIR/up.log" && fail 'the node does not come back'; }
        load_wait 100
    done
    load_end
}

# Set A, B and C to the addresses of the cluster just started.
addresses() {
    A=127.0.0.1:$PORT B=127.0.0.1:$((PORT + 1)) C=127.0.0.1:$((PORT + 2))
}

client version
start_redis
start_cluster forward
addresses
REDIS=127.0.0.1:$REDIS_PORT
VERSIONS=''
for RESP in 2 3; do
    code=0
    client tour --resp "$RESP" "$REDIS" "$REDIS" >"$DIR/out" 2>&1 || code=$?
    cat "$DIR/out"
    # The library says itself that it cannot: only RESP3, never RESP2.
    [ "$code" != 3 ] || [ "$RESP" != 3 ] || continue
    [ "$code" = 0 ] || fail "the tour of a redis-server failed (RESP$RESP)"
    VERSIONS="$VERSIONS $RESP"
    echo "RESP$RESP, nodes 1 and 3:"
    client tour --resp "$RESP" "$A" "$C"
    echo "RESP$RESP, nodes 2 and 1:"
    client tour --resp "$RESP" "$B" "$A"
    echo "RESP$RESP, load on a redis-server:"
    load_begin "$REDIS"
    load_end
    echo "RESP$RESP, load on the cluster, three kills of the leader:"
    load_with_kills forward "$A" "$B" "$C"
done
"$CTL" wait-healthy --nodes 3 --same-hash --timeout 60 --endpoints "$ENDPOINTS"

# The same with the library's client for clusters.
PARTS=session,strings,pipeline,scan,expiry,transaction
case $LIBRARY in
hiredis) exit 0 ;; # it has none
# redis-py does not know where to send commands without a key there, and in
# Debian 12 has no transactions.
python) PARTS=strings,pipeline,scan,expiry ;;
esac
"$CTL" local down --dir "$DIR/forward" >/dev/null
start_cluster moved --redirect moved
addresses
for RESP in $VERSIONS; do
    echo "RESP$RESP, the client for clusters:"
    client tour --cluster --resp "$RESP" --parts "$PARTS" "$A" "$B" "$C"
    echo "RESP$RESP, its load, three kills of the leader:"
    load_with_kills moved --cluster --parts "$PARTS" "$A" "$B" "$C"
done
"$CTL" wait-healthy --nodes 3 --same-hash --timeout 60 --endpoints "$ENDPOINTS"
