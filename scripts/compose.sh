# Sourced by the scripts that use docker-compose.yml. COMPOSE is Compose v2
# where docker has it as a command of its own, else docker-compose (v1, and v2 in
# Debian 13).
COMPOSE=docker-compose
! docker compose version >/dev/null 2>&1 || COMPOSE='docker compose'

compose() { $COMPOSE "$@"; }

# Print why there can be no containers here; nothing if there can.
engine_missing() {
    if ! have docker; then
        printf 'there is no docker command here\n'
    elif ! timeout 30 docker info >/dev/null 2>&1; then
        printf 'the docker daemon does not answer\n'
    fi
}

# Start an engine that is installed and does not answer, if we may.
engine_start() {
    if have dockerd && [ "$(id -u)" = 0 ] && [ -n "$(engine_missing)" ]; then
        service docker start >/dev/null 2>&1 || :
        tries=30
        while [ -n "$(engine_missing)" ] && [ "$tries" -gt 0 ]; do
            tries=$((tries - 1))
            sleep 1
        done
    fi
}

# As engine_missing, for containers of docker-compose.yml.
compose_missing() {
    if [ -n "$(engine_missing)" ]; then
        engine_missing
    elif ! compose version >/dev/null 2>&1; then
        printf 'there is neither docker-compose nor docker compose\n'
    fi
}
