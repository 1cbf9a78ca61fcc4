#!/bin/sh
# Each text that docs/TROUBLESHOOTING.md quotes in a heading stands in the
# sources: what is between `...`, with string literals that follow each other
# joined.
set -eu
page=docs/TROUBLESHOOTING.md
all=$(mktemp)
trap 'rm -f "$all"' EXIT
cat node/*.[ch] raftlog/*.[ch] snapshot/*.[ch] cli/*.[ch] | tr '\n' ' ' |
    sed 's/" *"//g' >"$all"
n=0 n_bad=0
while IFS= read -r text; do
    n=$((n + 1))
    rest=$text
    while [ -n "$rest" ]; do
        part=${rest%%...*}
        case $rest in
        *...*) rest=${rest#*...} ;;
        *) rest= ;;
        esac
        part=$(printf '%s' "$part" | sed 's/^ //;s/ $//')
        if ! grep -qF -- "$part" "$all"; then
            printf 'not in the sources: %s (%s)\n' "$part" "$text"
            n_bad=$((n_bad + 1))
        fi
    done
done <<END
$(sed -n 's/^### `\(.*\)`$/\1/p' $page)
END
[ "$n" -ge 20 ] || { echo "only $n quotes in $page" && exit 1; }
printf '%s quotes, %s of them not in the sources\n' "$n" "$n_bad"
[ "$n_bad" = 0 ]
