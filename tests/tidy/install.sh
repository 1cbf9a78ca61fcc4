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
