#!/bin/sh
# Replies byte for byte: a follower of a cluster beside a real redis-server, the
# lines of the conformance table and random commands, in RESP2 and RESP3.
#
#   conformance.sh CONCORDCTL CONCORDKV
#
# Other versions of Redis have other words: with them it says so and ends with 77.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
CTL=$1 SERVER=$2
. "$here/lib.sh"
start_redis
version=$(redis-cli -p "$REDIS_PORT" info server |
    sed -n 's/^redis_version:\([0-9]*\.[0-9]*\).*/\1/p')
case $version in
7.0) ;;
*) echo "not run: the table is of Redis 7.0, here is $version" && exit 77 ;;
esac
start_cluster conformance
leader=$("$CTL" leader --endpoints "$ENDPOINTS" --output json |
    sed -n 's/.*"id": *\([0-9]*\).*/\1/p')
python3 "$here/../unit/model/compare_redis.py" "$REDIS_PORT" \
    $((PORT + ${leader:-1} % 3)) 2000
