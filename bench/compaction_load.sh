#!/bin/sh
# A steady load that overwrites: do log bytes stay bounded, does compaction run by
# itself, and what does it cost a SET?
#
#   compaction_load.sh [--minutes N] [--span S] [--keys N] [--bytes N]
#                      [--clients N] [--build D] [--endpoints host:port,...]
#
# Without --endpoints three nodes are started here. Some clients send SETs to the
# leader, each as soon as its last one is answered, in spans of S seconds (30):
# compaction on and off in turns, in one run, so that what else the machine does
# falls on both alike. Off means limits that are out of reach. After each span: SET
# latencies (INFO latencystats of the leader, begun anew), log bytes of the node
# that has most, compactions. At the end: mean of p99 on, off, their ratio;
# largest log at the end of a span with compaction.
set -eu
minutes=10 keys=20000 bytes=1000 clients=8 build=build/release endpoints=
span=30
while [ $# -gt 0 ]; do
    case $1 in
    --minutes) minutes=$2 ;;
    --keys) keys=$2 ;;
    --bytes) bytes=$2 ;;
    --clients) clients=$2 ;;
    --span) span=$2 ;;
    --build) build=$2 ;;
    --endpoints) endpoints=$2 ;;
    *) sed -n '2,6s/^# \{0,1\}//p' "$0" && exit 2 ;;
    esac
    shift 2
done
ctl=$build/bin/concordctl
for tool in redis-cli redis-benchmark awk; do
    command -v "$tool" >/dev/null || { echo "$tool is missing" && exit 1; }
done
dir=
cleanup() {
    if [ -n "$dir" ]; then
        "$ctl" local down --dir "$dir/cluster" >/dev/null 2>&1 || :
        rm -rf "$dir"
    fi
}
trap cleanup EXIT
trap 'exit 1' INT TERM
if [ -z "$endpoints" ]; then
    dir=$(mktemp -d)
    "$ctl" local up --dir "$dir/cluster" --port 17601 --peer-port 17701 \
        -- --segment-bytes 16m >/dev/null
    endpoints=127.0.0.1:17601,127.0.0.1:17602,127.0.0.1:17603
fi
export CONCORDKV_ENDPOINTS=$endpoints
leader=$("$ctl" leader --address)
host=${leader%:*} port=${leader##*:}

ask() { redis-cli -h "${1%:*}" -p "${1##*:}" info everything | tr -d '\r'; }
number() { printf '%s\n' "$1" | awk -F: -v n="$2" '$1 == n { print $2 }'; }
percentile() {
    printf '%s\n' "$1" |
        sed -n "s/^latency_percentiles_usec_write:.*$2=\([0-9]*\).*/\1/p"
}

printf '%-4s %8s %8s %8s %8s %12s %s\n' COMP SET/s p50us p99us p99.9us \
    LOG_MiB_MAX COMPACTIONS
spans=$((minutes * 60 / span))
[ "$spans" -ge 2 ] || spans=2
on_sum=0 off_sum=0 n_on=0 n_off=0 log_max=0 i=0
while [ "$i" -lt "$spans" ]; do
    if [ $((i % 2)) = 0 ]; then
        mode=on threshold=1000 log_bytes=256m entries=1000000
    else
        mode=off threshold=1099511627776 log_bytes=1024g entries=1099511627776
    fi
    for option in "compact-threshold $threshold" \
        "snapshot-log-bytes $log_bytes" "snapshot-entries $entries"; do
        # shellcheck disable=SC2086 # name and value
        "$ctl" config set $option >/dev/null
    done
    redis-cli -h "$host" -p "$port" config resetstat >/dev/null
    timeout "$span" redis-benchmark -h "$host" -p "$port" -t set -q \
        -c "$clients" -r "$keys" -d "$bytes" -n 100000000 >/dev/null 2>&1 || :
    info=$(ask "$leader")
    n=$(printf '%s\n' "$info" |
        sed -n 's/^latency_percentiles_usec_write:.*,n=\([0-9]*\).*/\1/p')
    p99=$(percentile "$info" p99)
    largest=0
    for node in $(printf '%s' "$endpoints" | tr ',' ' '); do
        size=$(number "$(ask "$node")" log_size_bytes)
        [ "$size" -le "$largest" ] || largest=$size
    done
    printf '%-4s %8s %8s %8s %8s %12s %s\n' "$mode" $((n / span)) \
        "$(percentile "$info" p50)" "$p99" "$(percentile "$info" p99.9)" \
        $((largest / 1048576)) "$(number "$info" compactions)"
    if [ "$mode" = on ]; then
        on_sum=$((on_sum + p99)) n_on=$((n_on + 1))
        [ "$largest" -le "$log_max" ] || log_max=$largest
    else
        off_sum=$((off_sum + p99)) n_off=$((n_off + 1))
    fi
    i=$((i + 1))
done
awk -v a=$on_sum -v n=$n_on -v b=$off_sum -v m=$n_off -v l=$log_max 'BEGIN {
    printf "p99 of SET: %.0f us with compaction, %.0f us without, ratio %.2f; " \
        "largest log %d MiB\n", a / n, b / m, (a / n) / (b / m), l / 1048576 }'
