#!/bin/sh
# A steady load that overwrites: do log bytes stay bounded, does compaction run by
# itself, and what does it cost a SET?
#
#   compaction_load.sh [--minutes N] [--span S] [--keys N] [--bytes N]
#                      [--clients N] [--build D] [--endpoints host:port,...]
#                      [--svg FILE]
#
# Without --endpoints three nodes are started here. Some clients send SETs to the
# leader, each as soon as its last one is answered, in spans of S seconds (30):
# compaction on and off in turns, in one run, so that what else the machine does
# falls on both alike. Off means limits that are out of reach; the backlog that such
# a span leaves is compacted before the next one begins. After each span: SET
# latencies (INFO latencystats of the leader, begun anew), the largest log of any
# node in any second of it, compactions. At the end: mean of p99 on, off, their
# ratio; the largest log with compaction. --svg draws the log over time.
set -eu
minutes=10 keys=20000 bytes=1000 clients=8 build=build/release endpoints=
span=30 svg=
while [ $# -gt 0 ]; do
    case $1 in
    --minutes) minutes=$2 ;;
    --keys) keys=$2 ;;
    --bytes) bytes=$2 ;;
    --clients) clients=$2 ;;
    --span) span=$2 ;;
    --build) build=$2 ;;
    --endpoints) endpoints=$2 ;;
    --svg) svg=$2 ;;
    *) sed -n '2,16s/^# \{0,1\}//p' "$0" && exit 2 ;;
    esac
    shift 2
done
ctl=$build/bin/concordctl
for tool in redis-cli redis-benchmark awk; do
    command -v "$tool" >/dev/null || { echo "$tool is missing" && exit 1; }
done
dir=$(mktemp -d)
began=$(date +%s)
cleanup() {
    [ ! -d "$dir/cluster" ] ||
        "$ctl" local down --dir "$dir/cluster" >/dev/null 2>&1 || :
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
if [ -z "$endpoints" ]; then
    "$ctl" local up --dir "$dir/cluster" --port 17601 --peer-port 17701 \
        -- --segment-bytes 16m >/dev/null
    endpoints=127.0.0.1:17601,127.0.0.1:17602,127.0.0.1:17603
fi
nodes=$(printf '%s' "$endpoints" | tr ',' ' ')

to() {
    node=$1
    shift
    redis-cli -h "${node%:*}" -p "${node##*:}" "$@"
}
ask() { to "$1" info everything | tr -d '\r'; }
number() { printf '%s\n' "$1" | awk -F: -v n="$2" '$1 == n { print $2 }'; }
percentile() {
    printf '%s\n' "$1" |
        sed -n "s/^latency_percentiles_usec_write:.*$2=\([0-9]*\).*/\1/p"
}
# Which of the endpoints leads: its own name may mean nothing here (containers).
find_leader() {
    for try in 1 2 3 4 5 6 7 8 9 10; do
        for node in $nodes; do
            if ask "$node" 2>/dev/null | grep -q '^role:master$'; then
                printf '%s\n' "$node"
                return
            fi
        done
        sleep 1
    done
    echo "none of $endpoints leads after $try tries" >&2
    return 1
}
# Second, mode, and bytes of the largest log, while $1 runs.
sample() {
    while kill -0 "$1" 2>/dev/null; do
        largest=0
        for node in $nodes; do
            size=$(number "$(ask "$node")" log_size_bytes)
            [ "${size:-0}" -le "$largest" ] || largest=$size
        done
        echo "$(($(date +%s) - began)) $mode $largest" >>"$dir/samples"
        sleep 1
    done
}
# The samples as a chart: log over time, the spans without compaction shaded.
chart() {
    awk '
        { t[NR] = $1; on[NR] = $2 == "on"; mib[NR] = $3 / 1048576
          if (mib[NR] > top) top = mib[NR] }
        END {
            w = 900; h = 320; left = 70; base = 270
            if (NR < 2 || top <= 0)
                exit 1
            x = (w - left - 20) / (t[NR] - t[1]); y = (base - 30) / top
            printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" " \
                "height=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n" \
                "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n", w, h
            for (i = 2; i <= NR; i++)
                if (!on[i])
                    printf "<rect x=\"%.1f\" y=\"30\" width=\"%.1f\" " \
                        "height=\"%d\" fill=\"#eeeeee\"/>\n",
                        left + (t[i - 1] - t[1]) * x, (t[i] - t[i - 1]) * x + 0.5,
                        base - 30
            for (i = 0; i <= 4; i++)
                printf "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" " \
                    "stroke=\"#cccccc\"/><text x=\"%d\" y=\"%.1f\" " \
                    "text-anchor=\"end\">%.0f MiB</text>\n", left, w - 20,
                    base - top * i / 4 * y, base - top * i / 4 * y, left - 6,
                    base - top * i / 4 * y + 4, top * i / 4
            printf "<polyline fill=\"none\" stroke=\"#1f77b4\" " \
                "stroke-width=\"1.5\" points=\""
            for (i = 1; i <= NR; i++)
                printf "%.1f,%.1f ", left + (t[i] - t[1]) * x, base - mib[i] * y
            printf "\"/>\n<text x=\"%d\" y=\"18\">Largest log of any node; grey: " \
                "compaction off</text>\n<text x=\"%d\" y=\"%d\">0</text>" \
                "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%d s</text>\n</svg>\n",
                left, left, base + 18, w - 20, base + 18, t[NR] - t[1]
        }' "$dir/samples"
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
    start=$(($(date +%s) - began))
    for node in $nodes; do
        to "$node" config set compact-threshold $threshold \
            snapshot-log-bytes $log_bytes snapshot-entries $entries >/dev/null
        to "$node" concordkv compact >/dev/null
    done
    leader=$(find_leader)
    to "$leader" config resetstat >/dev/null
    timeout "$span" redis-benchmark -h "${leader%:*}" -p "${leader##*:}" -t set \
        -q -c "$clients" -r "$keys" -d "$bytes" -n 100000000 >/dev/null 2>&1 &
    load=$!
    sample $load
    wait $load || :
    info=$(ask "$leader")
    n=$(printf '%s\n' "$info" |
        sed -n 's/^latency_percentiles_usec_write:.*,n=\([0-9]*\).*/\1/p')
    p99=$(percentile "$info" p99)
    largest=$(awk -v m="$mode" -v since="$start" \
        '$2 == m && $1 >= since && $3 > top { top = $3 } END { print top + 0 }' \
        "$dir/samples")
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
[ -z "$svg" ] || { chart >"$svg" && echo "chart: $svg"; }
