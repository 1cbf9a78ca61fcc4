#!/bin/sh
# What `cmake --install` puts somewhere else runs from there. Argument: the build.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cmake --install "$1" --prefix "$dir" >"$dir/log" || { cat "$dir/log" && exit 1; }
"$dir/bin/concordkv" --version
"$dir/bin/concordkv" --help | grep -q -- --election-timeout-ms
"$dir/bin/concordctl" --help | grep -q import
# concordctl finds the node's program beside itself.
[ -x "$dir/bin/concordkv" ] && [ -x "$dir/bin/concordctl" ]
for file in share/man/man1/concordctl.1 share/man/man8/concordkv.8 \
    share/bash-completion/completions/concordctl \
    share/zsh/site-functions/_concordctl; do
    [ -s "$dir/$file" ] || { echo "$file is missing" && exit 1; }
done
