#!/bin/sh
# Every #include points to the same or a lower floor, as tests/tidy/floors.txt
# places the files. Run in the root of the tree.
set -eu
here=$(dirname -- "$0")
files=$(find raftlog snapshot persist node cli bench tests -name '*.[ch]' \
    2>/dev/null | sort)
# shellcheck disable=SC2086 # no file of the tree has a blank in its name
awk '
    function glob_to_regex(g) {
        gsub(/\./, "\\.", g)
        gsub(/\*/, ".*", g)
        return "^" g "$"
    }
    # The number of the first place that names the file, 0 if none does.
    function place_of(file,   i) {
        if (!(file in known)) {
            known[file] = 0
            for (i = 1; i <= n_places; i++)
                if (file ~ pattern[i]) {
                    known[file] = i
                    used[i] = 1
                    break
                }
        }
        return known[file]
    }
    # A pattern that has lost its files would let others through unseen.
    function check_patterns(  i) {
        for (i = 1; i <= n_places; i++)
            if (!used[i]) {
                printf "tests/tidy/floors.txt: \"%s\" places no file\n", \
                       source[i]
                n_bad++
            }
    }
    function complain(words) {
        printf "%s:%d: %s\n", FILENAME, FNR, words
        n_bad++
    }
    FNR == NR {
        if ($1 == "place")
            for (i = 4; i <= NF; i++) {
                source[++n_places] = $i
                pattern[n_places] = glob_to_regex($i)
                floor[n_places] = $2
                part[n_places] = $3
            }
        else if ($1 == "only") {
            limited[$2] = 1
            for (i = 3; i <= NF; i++)
                allowed[$2, $i] = 1
        } else if ($1 == "apart")
            apart[$2, $3] = apart[$3, $2] = 1
        next
    }
    FNR == 1 {
        n_files++
        me = place_of(FILENAME)
        if (!me)
            complain("no line of tests/tidy/floors.txt places this file")
    }
    !me { next }
    /^[ \t]*#[ \t]*include[ \t]*"/ {
        n_includes++
        name = $0
        sub(/^[^"]*"/, "", name)
        sub(/".*/, "", name)
        if (name !~ /\//) {
            complain("\"" name "\" is not written from the root of the tree")
            next
        }
        other = place_of(name)
        if (!other)
            complain("\"" name "\" stands on no floor")
        else if (floor[other] > floor[me])
            complain("floor " floor[me] " includes \"" name "\" of floor " \
                     floor[other])
        else if ((part[me], part[other]) in apart)
            complain(part[me] " includes \"" name "\" of " part[other])
    }
    /^[ \t]*#[ \t]*include[ \t]*</ {
        n_includes++
        name = $0
        sub(/^[^<]*</, "", name)
        sub(/>.*/, "", name)
        if ((name in limited) && !((name, part[me]) in allowed))
            complain("<" name "> is not for " part[me])
    }
    END {
        check_patterns()
        printf "%d includes of %d files checked, %d wrong\n", n_includes,
               n_files, n_bad
        # Too little work is no pass.
        exit n_bad > 0 || n_files < 20 || n_includes < 100
    }' "$here/floors.txt" $files
