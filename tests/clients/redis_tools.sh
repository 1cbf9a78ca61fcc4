#!/bin/sh
# Debian's own redis-cli and redis-benchmark, unmodified, against each node of a
# cluster that concordctl runs.
#
#   redis_tools.sh CONCORDCTL CONCORDKV
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
CTL=$1 SERVER=$2
. "$here/lib.sh"
for tool in redis-cli redis-benchmark; do
    command -v "$tool" >/dev/null || fail "$tool is missing"
done

expect() { # wanted, then arguments of redis-cli
    wanted=$1
    shift
    got=$(redis-cli "$@" </dev/null) || fail "redis-cli $* failed: $got"
    [ "$got" = "$wanted" ] || fail "redis-cli $*: '$got', not '$wanted'"
}

# What redis-cli does besides sending one command, on port $1.
cli_modes() {
    expect OK -p "$1" flushall
    expect 'OK
OK
OK' -p "$1" -r 3 -i 0 set key 'a value'
    expect '"a value"' -p "$1" --csv get key
    expect 'a value' -3 -p "$1" get key
    expect 'a value' -p "$1" -n 0 get key
    got=$(printf 'from stdin' | redis-cli -x -p "$1" set x) &&
        [ "$got" = OK ] || fail "redis-cli -x: $got"
    expect 'from stdin' -p "$1" get x
    got=$(printf 'incr n\nincr n\nget n\n' | redis-cli -p "$1") &&
        [ "$got" = '1
2
2' ] || fail "commands on stdin: $got"
    redis-cli -e -p "$1" incr x >/dev/null 2>&1 &&
        fail 'redis-cli -e ends with 0 after an error'
    got=$(redis-cli -p "$1" --scan --pattern '?' | LC_ALL=C sort)
    [ "$got" = 'n
x' ] || fail "--scan: $got"
    redis-cli -p "$1" --bigkeys -i 0 >"$DIR/out" 2>&1 ||
        fail "--bigkeys: $(cat "$DIR/out")"
    grep -q '3 strings with' "$DIR/out" || fail "--bigkeys: $(cat "$DIR/out")"
    # A thousand commands as they come over the wire, in one go.
    awk 'BEGIN { for (i = 0; i < 1000; i++) {
        k = "pipe" i
        printf "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\nv\r\n", length(k), k
    } }' | redis-cli -p "$1" --pipe >"$DIR/out" 2>&1 ||
        fail "--pipe: $(cat "$DIR/out")"
    grep -q 'errors: 0, replies: 1000' "$DIR/out" ||
        fail "--pipe: $(cat "$DIR/out")"
    expect 1003 -p "$1" dbsize
}

# Run redis-benchmark with these arguments; it must give $1 rows (0: any), and
# no command may stand still.
bench() {
    wanted=$1
    shift
    redis-benchmark --csv "$@" >"$DIR/csv" 2>"$DIR/err" ||
        fail "redis-benchmark $*: $(cat "$DIR/err" "$DIR/csv")"
    rows=$(awk -F'"' 'NR > 1 && $4 > 0' "$DIR/csv" | wc -l)
    [ "$rows" = "$wanted" ] && ! grep -qi error "$DIR/csv" "$DIR/err" ||
        fail "redis-benchmark $*: $(cat "$DIR/csv" "$DIR/err")"
}

start_cluster forward
expect OK -p "$PORT" set key 'a value'
expect 'a value' -p $((PORT + 1)) get key
expect 1 -p $((PORT + 2)) incr n
expect 2 -p "$PORT" incr n
expect 2 -p $((PORT + 1)) dbsize
for node in 0 1 2; do
    port=$((PORT + node))
    cli_modes "$port"
    # Two forms of PING, four commands of its own; the rest has types of values
    # that are not here.
    for pipeline in 1 16; do
        bench 6 -p "$port" -t ping,set,get,incr,mset -n 3000 -c 50 \
            -P "$pipeline"
    done
    bench 6 -p "$port" -3 -t ping,set,get,incr,mset -n 1000 -c 10 -r 100 -d 1000
    bench 2 -p "$port" -k 0 -t set,get -n 500 -c 10 # a connection each
    bench 1 -p "$port" -n 1000 -c 10 -r 50 append key:__rand_int__ x
    bench 1 -p "$port" -n 1000 -c 10 -r 50 getrange key:__rand_int__ 0 -1
    bench 1 -p "$port" -n 1000 -c 10 -r 50 -P 8 del key:__rand_int__
done
echo 'redis-cli and redis-benchmark: three nodes, every mode'
"$CTL" wait-healthy --nodes 3 --same-hash --timeout 30 --endpoints "$ENDPOINTS"

# Following redirections; redis-benchmark --cluster wants several masters.
"$CTL" local down --dir "$DIR/forward" >/dev/null
start_cluster moved --redirect moved
for node in 0 1 2; do
    port=$((PORT + node))
    expect OK -c -p "$port" set "key:$node" "value $node"
    expect "value $node" -c -p "$port" get "key:$node"
    redis-cli --cluster check "127.0.0.1:$port" >"$DIR/out" 2>&1 ||
        fail "--cluster check: $(cat "$DIR/out")"
    grep -q 'All 16384 slots covered' "$DIR/out" ||
        fail "--cluster check: $(cat "$DIR/out")"
done
echo 'redis-cli -c and --cluster check: three nodes'
