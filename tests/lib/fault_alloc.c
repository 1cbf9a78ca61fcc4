/* Wrappers that the linker puts in front of the allocator: see the header. */
#include "tests/lib/fault_alloc.h"

#include <errno.h>
#include <lz4frame.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* All atomic: pool threads allocate too. */
static unsigned long left; /* allocations until one fails; 0: not armed */
static bool onwards;
static bool struck;
static long n_live;

void fault_alloc_arm(unsigned long nth, enum fault_alloc_mode mode)
{
    __atomic_store_n(&onwards, mode == FAULT_ALLOC_ONWARDS, __ATOMIC_SEQ_CST);
    __atomic_store_n(&struck, false, __ATOMIC_SEQ_CST);
    __atomic_store_n(&left, nth, __ATOMIC_SEQ_CST);
}

bool fault_alloc_disarm(void)
{
    __atomic_store_n(&left, 0, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&struck, __ATOMIC_SEQ_CST);
}

long fault_alloc_live(void)
{
    return __atomic_load_n(&n_live, __ATOMIC_SEQ_CST);
}

static bool strikes(void)
{
    unsigned long now = __atomic_load_n(&left, __ATOMIC_SEQ_CST);
    while (now > 1) {
        if (__atomic_compare_exchange_n(&left, &now, now - 1, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            return false;
        }
    }
    if (now == 0) {
        return false;
    }
    if (!__atomic_load_n(&onwards, __ATOMIC_SEQ_CST)) {
        __atomic_store_n(&left, 0, __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(&struck, true, __ATOMIC_SEQ_CST);
    errno = ENOMEM;
    return true;
}

static void *count(void *p)
{
    if (p != NULL) {
        __atomic_add_fetch(&n_live, 1, __ATOMIC_SEQ_CST);
    }
    return p;
}

static void discount(const void *p)
{
    if (p != NULL) {
        __atomic_sub_fetch(&n_live, 1, __ATOMIC_SEQ_CST);
    }
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return strikes() ? NULL : count(__real_malloc(size));
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return strikes() ? NULL : count(__real_calloc(n, size));
}

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size)
{
    if (strikes()) {
        return NULL;
    }
    /* Never called with size 0 in this project: that would be a free. */
    return p == NULL ? count(__real_realloc(p, size)) : __real_realloc(p, size);
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
    return strikes() ? NULL : count(__real_strdup(text));
}

int __real_posix_memalign(void **out, size_t alignment, size_t size);
int __wrap_posix_memalign(void **out, size_t alignment, size_t size);
int __wrap_posix_memalign(void **out, size_t alignment, size_t size)
{
    int rv = strikes() ? ENOMEM : __real_posix_memalign(out, alignment, size);
    if (rv == 0) {
        (void)count(*out);
    }
    return rv;
}

void __real_free(void *p);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
    discount(p);
    __real_free(p);
}

XXH3_state_t *__real_XXH3_createState(void);
XXH3_state_t *__wrap_XXH3_createState(void);
XXH3_state_t *__wrap_XXH3_createState(void)
{
    return strikes() ? NULL : count(__real_XXH3_createState());
}

XXH_errorcode __real_XXH3_freeState(XXH3_state_t *state);
XXH_errorcode __wrap_XXH3_freeState(XXH3_state_t *state);
XXH_errorcode __wrap_XXH3_freeState(XXH3_state_t *state)
{
    discount(state);
    return __real_XXH3_freeState(state);
}

LZ4F_errorCode_t __real_LZ4F_createDecompressionContext(LZ4F_dctx **out,
                                                        unsigned version);
LZ4F_errorCode_t __wrap_LZ4F_createDecompressionContext(LZ4F_dctx **out,
                                                        unsigned version);
LZ4F_errorCode_t __wrap_LZ4F_createDecompressionContext(LZ4F_dctx **out,
                                                        unsigned version)
{
    LZ4F_errorCode_t rv;
    if (strikes()) {
        return (LZ4F_errorCode_t)-1;
    }
    rv = __real_LZ4F_createDecompressionContext(out, version);
    if (!LZ4F_isError(rv)) {
        (void)count(*out);
    }
    return rv;
}

LZ4F_errorCode_t __real_LZ4F_freeDecompressionContext(LZ4F_dctx *context);
LZ4F_errorCode_t __wrap_LZ4F_freeDecompressionContext(LZ4F_dctx *context);
LZ4F_errorCode_t __wrap_LZ4F_freeDecompressionContext(LZ4F_dctx *context)
{
    discount(context);
    return __real_LZ4F_freeDecompressionContext(context);
}
