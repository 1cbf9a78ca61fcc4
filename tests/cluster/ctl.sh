#!/bin/sh
# concordctl as a script drives it: results, exit codes and words of its verbs
# against a cluster that it runs, with failovers in the middle. Arguments:
# concordctl, concordkv.
set -eu
ctl=$1 server=$2
dir=$(mktemp -d)
port=$((12000 + $$ % 8000))
cluster=$dir/cluster
finish() {
    code=$?
    trap - EXIT
    [ "$code" = 0 ] || tail -n 20 "$cluster"/node-*/log 2>/dev/null || :
    "$ctl" local down --dir "$cluster" >/dev/null 2>&1 || :
    rm -rf "$dir"
    exit "$code"
}
trap finish EXIT
tries=0
until "$ctl" local up --nodes 3 --dir "$cluster" --server "$server" \
    --port "$port" --peer-port $((port + 100)) -- --segment-bytes 1m \
    --snapshot-entries 20000 >"$dir/up.log" 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 5 ] || { cat "$dir/up.log" && exit 1; }
    rm -rf "$cluster"
    port=$((port + 211))
done
CONCORDKV_ENDPOINTS=127.0.0.1:$port,127.0.0.1:$((port + 1)),127.0.0.1:$((port + 2))
export CONCORDKV_ENDPOINTS

n_checks=0
fail() {
    printf '%s\n--- stdout:\n' "$*"
    head -c 3000 "$dir/out"
    printf '\n--- stderr:\n'
    head -c 3000 "$dir/err"
    exit 1
}
# code, what stdout or stderr must say (a pattern, or '' for anything), then
# arguments.
expect() {
    wanted=$1 words=$2
    shift 2
    code=0
    "$ctl" "$@" >"$dir/out" 2>"$dir/err" </dev/null || code=$?
    [ "$code" = "$wanted" ] || fail "$*: exit code $code, not $wanted"
    [ -z "$words" ] || cat "$dir/out" "$dir/err" | grep -qE -- "$words" ||
        fail "$*: nothing says '$words'"
    n_checks=$((n_checks + 1))
}
local_ctl() { # code, words, verb of local, more
    code=$1 words=$2 verb=$3
    shift 3
    expect "$code" "$words" local "$verb" --dir "$cluster" "$@"
}

# ---- keys and exit codes
expect 0 '^OK$' put a 1
expect 0 '^OK$' put tab "x	y"
expect 0 '^1$' get a
expect 1 'no such key' get none
expect 1 'no such key: none' mget a none tab
printf 'a\t1\ntab\tx\\ty\n' | cmp - "$dir/out"
expect 0 '^\[\{"key":"a","value":"1"\}\]$' mget a -o json
expect 1 '"value":null' mget none --output json
expect 0 '^6$' incr a 5
expect 3 'not an integer' incr tab
expect 2 "did you mean 'concordctl get'" gte a
expect 2 "takes no --nodes" get a --nodes 3
expect 2 'no verb' # stdin is no terminal here
expect 5 "refused; 'concordctl status'" get a --endpoints 127.0.0.1:1 \
    --timeout 300ms
expect 0 '' ping --count 3
expect 0 '"p99_us"' ping --count 3 -o json
expect 5 'refused' ping --count 1 --endpoints 127.0.0.1:1
expect 0 'compacted through entry' compact
expect 0 '^NODE +HELD P99 +MAX +COMPACTED' stats --interval 50ms
[ "$(awk '{ if (length > n) n = length } END { print n }' "$dir/out")" -le 80 ] ||
    fail 'stats: wider than 80 columns'
expect 0 '"loop_us_max":[1-9].*"compaction_us_p99":[1-9]' stats \
    --interval 50ms -o json
expect 0 '^NODE +FILE +FIRST +LAST +BYTES +USED +SEALED S +STATE' log list
expect 0 '"used":[0-9]+,"sealed_s":[0-9]+,"state":"active' log list -o json
expect 0 'request-timeout-ms +5000 +all' config get 'request-t*'
expect 1 'no option matches' config get nothing
expect 0 'done' config set request-timeout-ms 4000
expect 0 '"request-timeout-ms":"4000"' config get 'request-t*' -o json
expect 3 'nope' config set nope 1
expect 2 'a number' leader transfer x
expect 3 'not a member' leader transfer 99
expect 0 'leads in term' leader transfer
expect 0 '"node_id":2' leader transfer 2 --output json
printf 'set p "a\\x00b"\nget p\nnope\nget p\n' >"$dir/lines"
code=0
"$ctl" prompt <"$dir/lines" >"$dir/out" 2>"$dir/err" || code=$?
[ "$code" = 3 ] && [ "$(grep -c '^"a.x00b"$' "$dir/out")" = 2 ] ||
    fail "prompt from a pipe: exit code $code"

# ---- export and import, every form, through the death of the leader
expect 0 '' exec FLUSHALL
awk 'BEGIN { for (i = 0; i < 40000; i++)
    printf "key:%d\\x00\\xff\tvalue \\t \\n \\\\ \\xfe %d\n", i, i * 7919 }' \
    >"$dir/in.tsv"
expect 0 'acknowledged 40,000' import "$dir/in.tsv"
expect 0 'OK' exec SET ends soon PXAT 4102444800000
expect 0 'exported 40,001' export "$dir/all.jsonl"
grep -q '"expire_at_ms":4102444800000' "$dir/all.jsonl" || fail 'no expiry'
mkfifo "$dir/pipe"
for form in resp tsv; do
    "$ctl" export --format "$form" --count 50 >"$dir/pipe" 2>"$dir/export" &
    export=$!
    # Nobody reads on, so the export stands still in the middle.
    exec 3<"$dir/pipe"
    IFS= read -r line <&3
    local_ctl 0 'killed node' kill --node leader
    { printf '%s\n' "$line" && cat <&3; } >"$dir/all.$form"
    exec 3<&-
    wait "$export" || fail "export: exit code $?, $(cat "$dir/export")"
    grep -q 'goes on after' "$dir/export" || fail "the export met no failover"
    local_ctl 0 'nodes are running' up
    expect 0 '' wait-healthy --same-hash
done
expect 0 'OK' exec FLUSHALL
expect 0 'acknowledged 40,001' import "$dir/all.resp"
expect 0 '' export "$dir/again.jsonl"
cmp "$dir/all.jsonl" "$dir/again.jsonl" || fail 'RESP does not come back'
expect 0 'OK' exec FLUSHALL
expect 0 'acknowledged 40,001' import "$dir/all.tsv"
expect 0 'keys|exported' export "$dir/again.jsonl"
sed 's/,"expire_at_ms":[0-9]*//' "$dir/all.jsonl" |
    cmp - "$dir/again.jsonl" || fail 'TSV does not come back'
expect 0 'OK' exec FLUSHALL
expect 0 'acknowledged 40,001' import "$dir/all.jsonl"
expect 0 '' export "$dir/again.jsonl" --quiet
cmp "$dir/all.jsonl" "$dir/again.jsonl" || fail 'JSON lines do not come back'
expect 3 'no file was written|cannot make' export "$dir/no/such/file"
[ -z "$(find "$dir" -name '*.part')" ] || fail 'a part of an export stayed'
printf '*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n' >"$dir/incr.resp"
expect 2 "command 1, command 'INCR'" import "$dir/incr.resp"

# ---- the local cluster
local_ctl 0 'killed node 1' kill --node 1
local_ctl 0 'restarted node 3' restart
[ "$(head -n 1 "$dir/out" | cut -d' ' -f1-3)" = 'restarted node 1' ] ||
    fail 'what did not run was not started first'
local_ctl 2 '--node' pause
local_ctl 1 'no node is paused' resume
local_ctl 0 'paused node 1' pause --node 1
local_ctl 0 '1 +paused' status
local_ctl 0 'resumed node 1' resume
local_ctl 0 'role=' logs 1 --lines 100000
local_ctl 0 '^3 \| ' logs
local_ctl 2 'from 1 to 3' logs 9
local_ctl 0 '"node_id":2' logs 2 --lines 1 -o json
expect 0 '' wait-healthy
local_ctl 0 'stopped' down

# ---- what is on disk, whole and damaged
node=$cluster/node-1/data
expect 0 'valid' inspect hardstate "$node"
expect 0 '"voted_for"' inspect hardstate "$node/hardstate.0" -o json
expect 0 'open' inspect log "$node"
expect 0 'SET "key:' inspect log "$node" --entries --limit 100000
expect 0 '"command":\["SET"' inspect log "$node" --entries -o json
expect 0 'sound' inspect snapshot "$node"
expect 0 '"kind":"key"' inspect snapshot "$node" --entries -o json
expect 1 'no segment files' inspect log "$node/snapshots"
expect 1 'cannot open' inspect log "$dir/none.seg"
expect 1 'MANIFEST' inspect snapshot "$node/log"
find "$node" -type f -exec cksum {} + | sort >"$dir/after"
cp -r "$node" "$dir/copy"
expect 0 '' inspect log "$node"
expect 0 '' inspect snapshot "$node"
find "$node" -type f -exec cksum {} + | sort | cmp "$dir/after" - ||
    fail 'inspecting has changed a file'
flip() { # file, offset
    printf 'X' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
segment=$(find "$dir/copy/log" -name '*.seg' | sort | head -n 1)
flip "$segment" 4300
expect 3 "$segment: offset 4096: .*was durable and has a broken body" \
    inspect log "$dir/copy"
expect 3 '"offset":4096' inspect log "$dir/copy" --output json
base=$(find "$dir/copy/snapshots" -name '*.lz4' | head -n 1)
flip "$base" 5000
expect 3 "$base: offset [1-9]" inspect snapshot "$dir/copy"
expect 3 'damaged' inspect snapshot "$base"
flip "$dir/copy/hardstate.1" 20
expect 3 'hardstate.1: offset 120: the checksum' inspect hardstate "$dir/copy"
rm "$dir/copy/hardstate.0"
expect 3 'the slot is missing' inspect hardstate "$dir/copy"
for file in "$segment" "$base" "$dir/copy/hardstate.1"; do
    : >"$file"
done
expect 3 'damaged segment header' inspect log "$dir/copy"
expect 3 'damaged' inspect snapshot "$dir/copy"
expect 3 'the file ends here' inspect hardstate "$dir/copy"
[ "$n_checks" -ge 75 ] || fail "only $n_checks checks"
echo "$n_checks calls of concordctl as they should be"
