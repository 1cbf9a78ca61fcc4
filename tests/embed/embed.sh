#!/bin/sh
# The library as its users have it: installed into a prefix of its own, found
# through pkg-config, the programs of docs/EMBEDDING.md compiled outside the tree
# with the flags that are promised, against the shared and the static library,
# and run. Argument: the build; further ones are added to the compiler's flags.
set -eu
build=$1
shift
source=$(cd "$(dirname "$0")/../.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cmake --install "$build" --prefix "$dir/prefix" >"$dir/log" || {
    cat "$dir/log"
    exit 1
}
lib=$(dirname "$(find "$dir/prefix" -name libconcordkv-persist.a)")
export PKG_CONFIG_PATH="$lib/pkgconfig"

# Only the API's names leave the libraries, and the header declares just those.
sort "$source/persist/symbols.txt" >"$dir/symbols"
nm -D --defined-only "$lib/libconcordkv-persist.so" | awk '{ print $3 }' |
    sort | diff "$dir/symbols" -
nm -g --defined-only "$lib/libconcordkv-persist.a" |
    awk 'NF == 3 { print $3 }' | sort | diff "$dir/symbols" -
grep -oE '\b(wal|snapshot|persist)_[a-z_]+\(' "$dir/prefix/include/kv_persist.h" |
    tr -d '(' | sort -u | diff "$dir/symbols" -
readelf -d "$lib/libconcordkv-persist.so" | grep -q 'soname.*persist\.so\.0'

# The programs, as they stand in the document.
mkdir "$dir/src"
awk -v dir="$dir/src" '
    /^<!-- example: / { file = dir "/" $3; next }
    /^```c/ { on = file != ""; next }
    /^```/ { if (on) close(file); on = 0; file = ""; next }
    on { print > file }' "$source/docs/EMBEDDING.md"
n=0
cd "$dir/src"
for program in *.c; do
    for kind in shared static; do
        name=${program%.c}-$kind
        libs=$(pkg-config --libs concordkv-persist)
        [ $kind = shared ] || libs="$lib/libconcordkv-persist.a
            $(pkg-config --static --libs concordkv-persist |
            sed 's/-lconcordkv-persist//')"
        # shellcheck disable=SC2046,SC2086 # words
        gcc -Wall -Wextra -std=c99 -g -O2 -pthread -Werror "$@" "$program" \
            $(pkg-config --cflags concordkv-persist) $libs -o "$name"
        mkdir "$dir/run-$name"
        (cd "$dir/run-$name" && LD_LIBRARY_PATH="$lib" "$dir/src/$name") || {
            echo "$name failed"
            exit 1
        }
        # The node's tools read what the library wrote.
        if [ -d "$dir/run-$name/data" ]; then
            "$dir/prefix/bin/concordctl" inspect log "$dir/run-$name/data" \
                >"$dir/log"
            grep -q '\.seg .* open$' "$dir/log"
        fi
        case $name in
        first-*)
            "$dir/prefix/bin/concordctl" inspect log "$dir/run-$name/data" \
                --entries >"$dir/log"
            grep -q ' MOD "user:1" "Ada Lovelace"$' "$dir/log"
            grep -q ' DEL "user:2"$' "$dir/log"
            "$dir/prefix/bin/concordctl" inspect log "$dir/run-$name/data" \
                --entries --output json |
                grep -q '"operation":"SET","key":"user:2","value":"Grace"'
            ;;
        compaction-*) "$dir/prefix/bin/concordctl" inspect snapshot \
            "$dir/run-$name/data" | grep -q '^base-.* 100 .* sound ' ;;
        snapshots-*) "$dir/prefix/bin/concordctl" inspect snapshot \
            "$dir/run-$name/snapshots" | grep -q '^delta-.* sound ' ;;
        esac
        n=$((n + 1))
    done
done
for std in c99 c11 gnu17; do # the header alone
    echo '#include <kv_persist.h>' | gcc -x c -std=$std -Wall -Wextra -Wpedantic \
        -Werror -I"$dir/prefix/include" -fsyntax-only -
done
echo "$n programs compiled and run"
[ "$n" -ge 10 ]
