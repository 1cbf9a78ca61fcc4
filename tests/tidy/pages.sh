#!/bin/sh
# The manual pages are sound mdoc and name all that the programs do; what bash
# and zsh complete is right. Argument: the build.
set -eu
bin=$1/bin pages=$1/cli/pages
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for tool in mandoc bash zsh; do
    command -v "$tool" >/dev/null || { echo "$tool is missing" && exit 1; }
done

mandoc -T lint -W warning "$pages/man1/concordctl.1" "$pages/man8/concordkv.8"

# Every verb and option that --help names, and no other.
"$bin/concordctl" --help | awk '/^verbs:/ { on = 1; next } /^$/ { on = 0 }
    on { sub(/^  /, ""); sub(/  .*/, ""); print }' | sort >"$dir/verbs"
n_verbs=$(wc -l <"$dir/verbs")
[ "$n_verbs" -ge 20 ] || { echo "only $n_verbs verbs" && exit 1; }
sed -n 's/^\.It Cm //p' "$pages/man1/concordctl.1" | sed 's/ No .*//' |
    sort >"$dir/man"
cmp "$dir/verbs" "$dir/man"
"$bin/concordkv" --help | sed -n 's/^  --\([^ ]*\).*/\1/p' | sort >"$dir/options"
[ "$(wc -l <"$dir/options")" -ge 20 ]
sed -n 's/^\.It Fl Fl \([^ ]*\).*/\1/p' "$pages/man8/concordkv.8" | sort |
    cmp "$dir/options" -
sed -n "/^_concordctl_verbs/,/^END/p" "$pages/bash/concordctl" |
    sed '1,2d;$d' | sort | cmp "$dir/verbs" -

# Both shells with the same lines: what is typed, what must be offered.
cat >"$dir/bash" <<'END'
source "$1"
_concordctl_try() {
    COMP_WORDS=(concordctl "$@") COMP_CWORD=$#
    _concordctl
    printf '%s\n' "${COMPREPLY[@]}"
}
END
cat >"$dir/zsh" <<'END'
compdef() { :; }
_describe() { local -a all; all=(${(P)2}); print -l -- ${all%%:*}; }
_files() { print -l -- *(N); }
source "$1"
_concordctl_try() {
    words=(concordctl "$@") CURRENT=$(($# + 1))
    _concordctl
}
END
cat >"$dir/cases" <<'END'
check() { # words typed, the last being completed | wanted, or - for nothing
    wanted=$1
    shift
    for word in $wanted; do
        [ "$word" = - ] && continue
        _concordctl_try "$@" | grep -qx -- "$word" || {
            echo "$*: '$word' is not offered, but: "
            _concordctl_try "$@"
            exit 1
        }
    done
    n=$((n + 1))
}
never() {
    word=$1
    shift
    if _concordctl_try "$@" | grep -qx -- "$word"; then
        echo "$*: '$word' is offered"
        exit 1
    fi
    n=$((n + 1))
}
n=0
check 'get leader local inspect import' ''
never 'transfer' ''
check 'transfer' leader ''
check 'log snapshot hardstate' inspect ''
check 'up down' -o json local ''
check '--raw --timeout --output' get k --
never '--nodes' get k --
check '--node --dir' local kill --
check 'table json' status --output ''
check 'table json' -o ''
check 'auto tsv jsonl resp' export --format ''
never 'get' --endpoints ''
check 'some.tsv' import ''
check 'some.tsv' put k --value-file ''
never 'some.tsv' get ''
check '--entries' inspect log some.tsv --e
echo "$n cases"
END
cd "$dir"
: >some.tsv
for shell in bash zsh; do
    flags=''
    [ "$shell" = bash ] && script=$pages/bash/concordctl flags='--norc'
    [ "$shell" = zsh ] && script=$pages/zsh/_concordctl flags='-f -o shwordsplit'
    $shell -n "$script"
    cat "$dir/$shell" "$dir/cases" >"$dir/run"
    # shellcheck disable=SC2086 # two words are meant
    $shell $flags "$dir/run" "$script" >"$dir/out" 2>&1 ||
        { echo "$shell:" && cat "$dir/out" && exit 1; }
    [ "$(tail -n 1 "$dir/out")" = '16 cases' ] ||
        { echo "$shell:" && cat "$dir/out" && exit 1; }
done
echo "$n_verbs verbs in the manual, in bash and in zsh"
