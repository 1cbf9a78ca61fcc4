/* Glob matching; see glob.h.
 *
 * Only the last `*` is ever gone back to: what an earlier one could take more,
 * the last one can take as well. That is what makes it quadratic at worst
 * instead of exponential. */
#include "node/glob.h"

#include <stddef.h>

static int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static int fold(int c, bool ignore_case)
{
    return ignore_case ? lower(c) : c;
}

/* Match one byte against the bracket whose inside begins at *at; *at is moved
 * behind its end. */
static bool glob_class(struct bytes pattern, size_t *at, int c,
                       bool ignore_case)
{
    size_t i = *at;
    bool negated = i < pattern.size && pattern.data[i] == '^';
    bool found = false;

    c = fold(c, ignore_case);
    i += negated;
    for (; i < pattern.size && pattern.data[i] != ']'; i++) {
        int low;
        int high;
        if (pattern.data[i] == '\\' && i + 1 < pattern.size) {
            i++;
            found |= fold(pattern.data[i], ignore_case) == c;
            continue;
        }
        low = fold(pattern.data[i], ignore_case);
        high = low;
        if (i + 2 < pattern.size && pattern.data[i + 1] == '-') {
            i += 2;
            high = fold(pattern.data[i], ignore_case);
        }
        found |= low <= high ? c >= low && c <= high : c >= high && c <= low;
    }
    *at = i < pattern.size ? i + 1 : i;
    return found != negated;
}

/* Match one byte against the element at *at, which is not a star and is moved
 * on. */
static bool glob_one(struct bytes pattern, size_t *at, int c, bool ignore_case)
{
    int p = pattern.data[(*at)++];

    if (p == '?') {
        return true;
    }
    if (p == '[') {
        return glob_class(pattern, at, c, ignore_case);
    }
    if (p == '\\' && *at < pattern.size) {
        p = pattern.data[(*at)++];
    }
    return fold(p, ignore_case) == fold(c, ignore_case);
}

bool glob_match(struct bytes pattern, struct bytes text, bool ignore_case,
                uint64_t *steps)
{
    size_t p = 0;
    size_t t = 0;
    size_t star = SIZE_MAX; /* behind the last star met */
    size_t taken = 0;       /* where the text behind that star begins */
    uint64_t n = 0;
    bool matches = true;

    while (t < text.size) {
        size_t before = p;
        if (p < pattern.size && pattern.data[p] == '*') {
            star = ++p;
            taken = t;
            n++;
            continue;
        }
        if (p < pattern.size &&
            glob_one(pattern, &p, text.data[t], ignore_case)) {
            n += p - before;
            t++;
            continue;
        }
        n += p - before + 1;
        if (star == SIZE_MAX || star == pattern.size) {
            matches = star != SIZE_MAX;
            p = pattern.size;
            break;
        }
        p = star;
        t = ++taken;
    }
    while (p < pattern.size && pattern.data[p] == '*') {
        p++;
        n++;
    }
    if (steps != NULL) {
        *steps += n;
    }
    return matches && p == pattern.size;
}
