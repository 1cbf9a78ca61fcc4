# Sourced by the scripts of this folder. Sets ROOT and moves there; what it
# gives: words in colour where someone is looking, and steps with a number.
ROOT=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$ROOT" || exit 1

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    BOLD=$(printf '\033[1m') GREEN=$(printf '\033[32m')
    RED=$(printf '\033[31m') PLAIN=$(printf '\033[0m')
else
    BOLD='' GREEN='' RED='' PLAIN=''
fi

N_STEP=0
step() {
    N_STEP=$((N_STEP + 1))
    printf '\n%s%d. %s%s\n' "$BOLD" "$N_STEP" "$*" "$PLAIN"
}

say() { printf '   %s\n' "$*"; }

good() { printf '   %s%s%s\n' "$GREEN" "$*" "$PLAIN"; }

die() {
    printf '%s%s: %s%s\n' "$RED" "$(basename -- "$0")" "$*" "$PLAIN" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# The root's hand, where there is one: empty for root, sudo for others.
if [ "$(id -u)" = 0 ]; then
    SUDO=''
elif have sudo; then
    SUDO=sudo
else
    SUDO=none
fi
