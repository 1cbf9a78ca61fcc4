# Sourced by the scripts of this folder: a directory that goes in the end, a
# cluster of three by concordctl and a real redis-server, both on loopback.
# Sets DIR; start_cluster sets PORT (to PORT + 2) and ENDPOINTS, start_redis
# sets REDIS_PORT. Needs CTL and SERVER.
DIR=$(mktemp -d)
REDIS_PID='' LOAD_PID=''

finish() {
    code=$?
    trap - EXIT INT TERM
    [ -z "$LOAD_PID" ] || kill "$LOAD_PID" 2>/dev/null || :
    [ "$code" = 0 ] || tail -n 20 "$DIR"/*/node-*/log 2>/dev/null || :
    for cluster in "$DIR"/*/; do
        [ ! -e "$cluster/cluster.conf" ] ||
            "$CTL" local down --dir "$cluster" >/dev/null 2>&1 || :
    done
    [ -z "$REDIS_PID" ] || kill "$REDIS_PID" 2>/dev/null || :
    [ -z "$REDIS_PID" ] || wait "$REDIS_PID" 2>/dev/null || :
    rm -rf "$DIR"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    printf '%s\n' "$*"
    exit 1
}

# A cluster in $DIR/$1, with the options of a node that follow. Another program
# may have one of the ports: then the next ones.
start_cluster() {
    name=$1
    shift
    PORT=$((12000 + $$ % 8000))
    tries=0
    until "$CTL" local up --nodes 3 --dir "$DIR/$name" --server "$SERVER" \
        --port "$PORT" --peer-port $((PORT + 100)) -- "$@" \
        >"$DIR/up.log" 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 5 ] || { cat "$DIR/up.log" && exit 1; }
        "$CTL" local down --dir "$DIR/$name" >/dev/null 2>&1 || :
        rm -rf "${DIR:?}/$name"
        PORT=$((PORT + 211))
    done
    ENDPOINTS=127.0.0.1:$PORT,127.0.0.1:$((PORT + 1)),127.0.0.1:$((PORT + 2))
}

# The server is in redis-tools under another name, so that its package, which
# would start a service, need not be here.
start_redis() {
    program=$(command -v redis-server) || program=$(command -v redis-check-rdb) ||
        fail 'redis-tools is missing: scripts/install-deps check'
    ln -sf "$program" "$DIR/redis-server"
    REDIS_PORT=$((21000 + $$ % 8000))
    tries=0
    until [ -n "$REDIS_PID" ]; do
        "$DIR/redis-server" --port "$REDIS_PORT" --bind 127.0.0.1 --dir "$DIR" \
            --save '' --daemonize no >"$DIR/redis.log" 2>&1 &
        REDIS_PID=$!
        until redis-cli -p "$REDIS_PORT" ping >/dev/null 2>&1; do
            # The port is taken: it ends by itself.
            kill -0 "$REDIS_PID" 2>/dev/null || { REDIS_PID='' && break; }
            tries=$((tries + 1))
            [ "$tries" -lt 300 ] || { cat "$DIR/redis.log" && exit 1; }
            sleep 0.1
        done
        [ -n "$REDIS_PID" ] || REDIS_PORT=$((REDIS_PORT + 211))
    done
}
