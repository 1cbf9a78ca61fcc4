/* Fuzz targets that need no fuzzer.
 *
 * A target defines LLVMFuzzerTestOneInput, as libFuzzer and AFL want it, and
 * includes this file last. Built with -DFUZZ_LIBFUZZER (clang,
 * -fsanitize=fuzzer) that is all. Otherwise this main feeds it:
 *
 *     fuzz_<format> SEED_NUMBER N_RUNS [FILE...]
 *
 * each FILE as it is and then N_RUNS mutations of them, the same ones for the
 * same number. A crash is reproduced by the same arguments. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifndef FUZZ_LIBFUZZER
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FUZZ_FILES_MAX = 48, FUZZ_SIZE_MAX = 1 << 16 };

static uint64_t fuzz_state;

/* splitmix64 */
static uint64_t fuzz_random(void)
{
    uint64_t z = fuzz_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t fuzz_below(size_t n)
{
    return n == 0 ? 0 : (size_t)(fuzz_random() % n);
}

/* One change of some kind; returns the new size. */
static size_t fuzz_mutate(uint8_t *data, size_t size)
{
    static const uint8_t favourites[] = {0,    1,   0x7f, 0x80,
                                         0xff, ' ', '\n', '9'};
    size_t at = fuzz_below(size);
    size_t n = 1 + fuzz_below(16);

    if (size == 0) {
        data[0] = (uint8_t)fuzz_random();
        return 1;
    }
    switch (fuzz_below(6)) {
    case 0:
        data[at] ^= (uint8_t)(1u << fuzz_below(8));
        return size;
    case 1:
        data[at] = favourites[fuzz_below(sizeof favourites)];
        return size;
    case 2: /* cut */
        return at;
    case 3: /* take a run out */
        n = n < size - at ? n : size - at;
        memmove(data + at, data + at + n, size - at - n);
        return size - n;
    case 4: /* repeat a run */
        n = n < size - at ? n : size - at;
        if (size + n > FUZZ_SIZE_MAX) {
            return size;
        }
        memmove(data + at + n, data + at, size - at);
        return size + n;
    default: /* copy from elsewhere */
        n = n < size - at ? n : size - at;
        memmove(data + at, data + fuzz_below(size - n + 1), n);
        return size;
    }
}

/* An allocation of exactly that size, so that a sanitizer sees an overrun. */
static void fuzz_feed(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    if (copy == NULL) {
        abort();
    }
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

int main(int argc, char **argv)
{
    static uint8_t seeds[FUZZ_FILES_MAX][FUZZ_SIZE_MAX];
    static uint8_t work[FUZZ_SIZE_MAX];
    size_t sizes[FUZZ_FILES_MAX] = {0};
    int n_files = argc - 3 < FUZZ_FILES_MAX ? argc - 3 : FUZZ_FILES_MAX;
    unsigned long n_runs;

    if (argc < 3) {
        fprintf(stderr, "use: %s SEED_NUMBER N_RUNS [FILE...]\n", argv[0]);
        return 2;
    }
    fuzz_state = strtoull(argv[1], NULL, 10);
    n_runs = strtoul(argv[2], NULL, 10);
    for (int i = 0; i < n_files; i++) {
        FILE *f = fopen(argv[3 + i], "rb");
        if (f == NULL) {
            perror(argv[3 + i]);
            return 2;
        }
        sizes[i] = fread(seeds[i], 1, FUZZ_SIZE_MAX, f);
        fclose(f);
        fuzz_feed(seeds[i], sizes[i]);
    }
    for (unsigned long run = 0; run < n_runs; run++) {
        size_t from = fuzz_below((size_t)(n_files > 0 ? n_files : 1));
        size_t size = sizes[from];
        memcpy(work, seeds[from], size);
        for (size_t n = 1 + fuzz_below(4); n > 0; n--) {
            size = fuzz_mutate(work, size);
        }
        fuzz_feed(work, size);
    }
    printf("%lu inputs, %d files\n", n_runs, n_files);
    return 0;
}
#endif

#endif
