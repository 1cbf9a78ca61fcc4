#!/bin/sh
# Debian's own redis-cli and redis-benchmark, unmodified, against each node of a
# cluster that concordctl runs. Arguments: concordctl, concordkv.
set -eu
ctl=$1 server=$2
dir=$(mktemp -d)
port=$((12000 + $$ % 8000))
finish() {
    code=$?
    trap - EXIT
    [ "$code" = 0 ] || tail -n 20 "$dir"/cluster/node-*/log 2>/dev/null || :
    "$ctl" local down --dir "$dir/cluster" >/dev/null 2>&1 || :
    rm -rf "$dir"
    exit "$code"
}
trap finish EXIT
for tool in redis-cli redis-benchmark; do
    command -v "$tool" >/dev/null || { echo "$tool is missing" && exit 1; }
done

# Another program may have one of the ports: then the next ones.
tries=0
until "$ctl" local up --nodes 3 --dir "$dir/cluster" --server "$server" \
    --port "$port" --peer-port $((port + 100)) >"$dir/up.log" 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 5 ] || { cat "$dir/up.log" && exit 1; }
    rm -rf "$dir/cluster"
    port=$((port + 211))
done

expect() { # wanted, then arguments of redis-cli
    wanted=$1
    shift
    got=$(redis-cli "$@")
    [ "$got" = "$wanted" ] || { echo "$*: '$got', not '$wanted'" && exit 1; }
}
expect OK -p "$port" set key 'a value'
expect 'a value' -p $((port + 1)) get key
expect 1 -p $((port + 2)) incr n
expect 2 -p "$port" incr n
expect 2 -p $((port + 1)) dbsize
expect OK -p $((port + 2)) flushall
expect 0 -p "$port" dbsize

for node in 0 1 2; do
    for pipeline in 1 16; do
        redis-benchmark -p $((port + node)) -t ping,set,get,incr,mset -n 3000 \
            -c 50 -P "$pipeline" --csv >"$dir/csv" 2>"$dir/err" ||
            { cat "$dir/err" && exit 1; }
        # A head, two forms of PING, four commands; none stood still.
        rows=$(awk -F'"' 'NR > 1 && $4 > 0' "$dir/csv" | wc -l)
        [ "$rows" = 6 ] || { cat "$dir/csv" "$dir/err" && exit 1; }
    done
done
"$ctl" wait-healthy --nodes 3 --same-hash --timeout 30 --endpoints \
    "127.0.0.1:$port,127.0.0.1:$((port + 1)),127.0.0.1:$((port + 2))"
