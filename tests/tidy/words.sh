#!/bin/sh
# Nothing in the tree names a place that only one machine has: no home or work
# directory, no package registry or mirror, no address beyond the well-known
# ones. The patterns are written so that they do not match themselves.
set -eu
if git rev-parse --git-dir >/dev/null 2>&1; then
    files=$(git ls-files)
else
    files=$(find . -type f -not -path './.git/*' -not -path './build*/*' |
        sed 's#^\./##')
fi
n_bad=0
check() { # pattern, what it is, then patterns of lines that may have it
    # shellcheck disable=SC2086 # no file of the tree has a blank in its name
    found=$(printf '%s\n' $files | xargs grep -snIE "$1" /dev/null |
        grep -vE "${3:-^$}" || :)
    if [ -n "$found" ]; then
        printf '%s\n   (%s)\n' "$found" "$2"
        n_bad=$((n_bad + 1))
    fi
}
check '(^|[^a-zA-Z0-9_.])/(work|home|root|Users)/[a-zA-Z0-9_.]' \
    'a path that only one machine has' '/[r]oot/\.'
check '[a-z][.](deb|debia)[n]?[.](org|net)|[.](ubunt)[u][.]com' \
    'a mirror; take it from the machine'
check '(registr[y]|mirro[r]|artifac[t][a-z]*|prox[y])[.][a-z0-9-]+[.][a-z]' \
    'a registry or mirror; take it from the machine' '[.]example'
check '(docke[r]|gcr|quay|ghcr)[.]i[o]|pyp[i][.]org|npmj[s][.]' \
    'a registry; nothing of the build comes from there'
check 'https?:/[/][a-zA-Z0-9]' 'an address; name the paper or the file instead' \
    'https?:/[/](localhost|127[.]0[.]0[.]1|www[.]w3[.]org/2000/svg|[a-z.]*example)'
[ "$(printf '%s\n' "$files" | wc -l)" -ge 20 ] || n_bad=$((n_bad + 1))
printf '%s files read, %s kinds of bad words\n' \
    "$(printf '%s\n' "$files" | wc -l)" "$n_bad"
[ "$n_bad" = 0 ]
