/* What `concordctl import` is given, in any of its forms: a record is taken or
 * refused, never read outside of the input; and what is taken comes back the
 * same when it is written as `export` does.
 *
 * The form is that of the first line, as import finds it out. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/record_reader.h"
#include "cli/record_write.h"
#include "tests/fuzz/fuzz.h"

enum { LINE_MAX_BYTES = 4096 };

static int input_of(const void *data, size_t size)
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    assert(fd >= 0);
    assert(write(fd, data, size) == (ssize_t)size);
    assert(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

/* Written in a form and read again it is the same. */
static void check_round_trip(const struct record *r, enum record_format format)
{
    char *text = NULL;
    size_t size = 0;
    struct record_reader reader;
    struct record again;
    struct err_info info;
    FILE *out = open_memstream(&text, &size);
    assert(out != NULL);
    record_write(out, format, r);
    fclose(out);
    int fd = input_of(text, size);
    assert(record_reader_init(&reader, fd, format, 1 << 20) == 0);
    assert(record_reader_fill(&reader, &info) == 0);
    assert(record_reader_next(&reader, &again, &info) == 1);
    assert(again.key_size == r->key_size &&
           memcmp(again.key, r->key, r->key_size) == 0);
    if (format != RECORD_RESP) {
        assert(again.value_size == r->value_size &&
               memcmp(again.value, r->value, r->value_size) == 0);
    }
    if (format == RECORD_JSONL) {
        assert(again.expire_at_ms == r->expire_at_ms);
    }
    record_reader_close(&reader);
    close(fd);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record_reader reader;
    struct record record;
    struct err_info info = {0, ""};
    int fd = input_of(data, size);
    int rc = 0;
    assert(record_reader_init(&reader, fd, RECORD_AUTO, LINE_MAX_BYTES) == 0);
    while (rc >= 0) {
        rc = record_reader_next(&reader, &record, &info);
        if (rc == 0 && reader.at_end) {
            break;
        }
        if (rc == 0) {
            rc = record_reader_fill(&reader, &info);
        } else if (rc > 0) {
            assert(record.key_size > 0 && reader.offset <= size + 1);
            assert((record.value == NULL) == (record.command != NULL));
            if (record.command == NULL) {
                check_round_trip(&record, RECORD_TSV);
                check_round_trip(&record, RECORD_JSONL);
                check_round_trip(&record, RECORD_RESP);
            } else {
                assert(record.key > record.command &&
                       record.key + record.key_size <
                           record.command + record.command_size);
            }
        }
    }
    assert(rc == 0 || info.message[0] != '\0');
    record_reader_close(&reader);
    close(fd);
    return 0;
}
