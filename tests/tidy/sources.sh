#!/bin/sh
# install-deps takes the mirror of the backports from the apt sources of the
# machine, in both of apt's formats, and invents none.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n_bad=0

expect() { # name, wanted text; reads $dir
    got=$(CONCORDKV_APT_DIR=$dir scripts/install-deps --print-backports \
        bookworm || printf 'none')
    if [ "$got" != "$2" ]; then
        printf '%s: got\n%s\nwanted\n%s\n\n' "$1" "$got" "$2"
        n_bad=$((n_bad + 1))
    fi
    rm -rf "$dir" && mkdir -p "$dir/sources.list.d"
}
mkdir -p "$dir/sources.list.d"

expect 'no sources' none

cat >"$dir/sources.list" <<'END'
# deb http://wrong.example/debian bookworm main
deb cdrom:[Debian 12]/ bookworm main
deb-src http://wrong.example/debian bookworm main
deb http://security.example/debian-security bookworm-security main
deb http://mirror.example/debian bookworm main contrib
END
expect 'one line' 'list
deb http://mirror.example/debian bookworm-backports main'

printf 'deb [signed-by=/k.gpg arch=amd64] http://m.example/d bookworm main\n' \
    >"$dir/sources.list.d/a.list"
expect 'one line with options' 'list
deb [signed-by=/k.gpg arch=amd64] http://m.example/d bookworm-backports main'

cat >"$dir/sources.list.d/debian.sources" <<'END'
Types: deb
URIs: http://wrong.example/debian
Suites: bookworm
Components: main
Enabled: no

# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /k.gpg

Types: deb
URIs: http://wrong.example/debian-security
Suites: bookworm-security
Components: main
END
expect 'stanzas' 'sources
Types: deb
Suites: bookworm-backports
Components: main
URIs: http://mirror.example/debian
Signed-By: /k.gpg'

printf 'Types: deb\nURIs: file:/mnt\nSuites: bookworm\nComponents: main\n' \
    >"$dir/sources.list.d/local.sources"
expect 'only a local directory' none

[ "$n_bad" = 0 ] && echo '5 forms of apt sources read'
