/* The verb inspect hardstate: both slots of term and vote, which of them
 * counts, and what is wrong with the other. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/inspect.h"
#include "cli/table.h"
#include "raftlog/file.h"
#include "raftlog/hardstate.h"

enum {
    HARD_BYTES_MAX = 1 << 20,
    HARD_VERSION_AT = 8,
    HARD_SIZE_1 = 96 /* of version 1 */
};

struct slot {
    char path[INSPECT_PATH_MAX];
    const char *state; /* valid, damaged, missing */
    struct hardstate hard;
};

/* Which check failed, and where. */
static void add_damage(struct inspect_problems *problems, const char *path,
                       const void *data, size_t size, int code)
{
    static const char magic[] = "CKVHARD\n";
    const uint8_t *bytes = data;
    bool first = size > HARD_VERSION_AT && bytes[HARD_VERSION_AT] == 1;
    size_t whole = first ? (size_t)HARD_SIZE_1 : (size_t)HARDSTATE_SIZE;
    if (code == ERR_VERSION) {
        inspect_problem_add(problems, path, HARD_VERSION_AT,
                            "a format version newer than this program's");
    } else if (size < whole) {
        inspect_problem_add(problems, path, size,
                            "the file ends here; a slot has %zu bytes", whole);
    } else if (memcmp(data, magic, strlen(magic)) != 0) {
        inspect_problem_add(problems, path, 0,
                            "this is no hard state slot: the magic is wrong");
    } else {
        inspect_problem_add(problems, path, whole - 8,
                            "the checksum of bytes 0..%zu does not hold",
                            whole - 9);
    }
}

static int read_slot(struct slot *slot, struct inspect_problems *problems)
{
    void *data = NULL;
    size_t size = 0;
    int rc = file_read_all(slot->path, HARD_BYTES_MAX, &data, &size);
    slot->state = "missing";
    if (rc == ERR_NOTFOUND) {
        return 0;
    }
    if (rc == ERR_TOOBIG) {
        slot->state = "damaged";
        inspect_problem_add(problems, slot->path, HARD_BYTES_MAX,
                            "too long for a hard state slot");
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    int bad = hardstate_decode(data, size, &slot->hard);
    slot->state = bad == 0 ? "valid" : "damaged";
    if (bad != 0) {
        add_damage(problems, slot->path, data, size, bad);
    }
    free(data);
    return 0;
}

static bool is_valid(const struct slot *slot)
{
    return strcmp(slot->state, "valid") == 0;
}

/* The slot that counts, NULL: none. */
static const struct slot *find_winner(const struct slot *slots, size_t n)
{
    const struct slot *winner = NULL;
    for (size_t i = 0; i < n; i++) {
        if (is_valid(&slots[i]) &&
            (winner == NULL ||
             slots[i].hard.sequence > winner->hard.sequence)) {
            winner = &slots[i];
        }
    }
    return winner;
}

static void print_table(const struct slot *slots, size_t n,
                        const struct slot *winner)
{
    static const char *const columns[] = {"FILE",  "STATE",      ">SEQUENCE",
                                          ">TERM", ">VOTED FOR", ">LOG FRAME",
                                          ">NODE", "FORGOT",     "COUNTS"};
    struct table t;
    table_init(&t);
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        table_column(&t, columns[i]);
    }
    for (size_t i = 0; i < n; i++) {
        const struct hardstate *h = &slots[i].hard;
        const uint64_t numbers[] = {h->sequence, h->term, h->voted_for,
                                    h->log_sequence, h->node_id};
        table_cell(&t, "%s", slots[i].path);
        table_cell(&t, "%s", slots[i].state);
        for (size_t j = 0; j < 5; j++) {
            if (is_valid(&slots[i])) {
                table_cell(&t, "%" PRIu64, numbers[j]);
            } else {
                table_cell(&t, "-");
            }
        }
        table_cell(&t, "%s", h->forgot ? "yes" : "no");
        table_cell(&t, "%s", winner == &slots[i] ? "yes" : "no");
    }
    table_print(&t, stdout);
    table_close(&t);
}

static void print_json(const struct slot *slots, size_t n,
                       const struct slot *winner,
                       const struct inspect_problems *problems)
{
    struct json_writer w = json_writer(stdout);
    json_open(&w, '{');
    json_name(&w, "slots");
    json_open(&w, '[');
    for (size_t i = 0; i < n; i++) {
        const struct hardstate *h = &slots[i].hard;
        char hex[2 * RAFTLOG_CLUSTER_ID_SIZE + 1];
        json_open(&w, '{');
        json_name(&w, "file");
        json_text(&w, slots[i].path);
        json_name(&w, "state");
        json_text(&w, slots[i].state);
        json_name(&w, "counts");
        json_bool(&w, winner == &slots[i]);
        if (is_valid(&slots[i])) {
            json_name(&w, "sequence");
            json_uint(&w, h->sequence);
            json_name(&w, "term");
            json_uint(&w, h->term);
            json_name(&w, "voted_for");
            json_uint(&w, h->voted_for);
            json_name(&w, "log_sequence");
            json_uint(&w, h->log_sequence);
            json_name(&w, "forgot");
            json_bool(&w, h->forgot);
            if (h->forgot) {
                json_name(&w, "forgot_term");
                json_uint(&w, h->forgot_term);
            }
            if (h->weak_boot[0] != '\0') {
                json_name(&w, "weak_boot");
                json_text(&w, h->weak_boot);
            }
            json_name(&w, "node_id");
            json_uint(&w, h->node_id);
            json_name(&w, "cluster_id");
            json_text(&w,
                      inspect_hex(hex, h->cluster_id, sizeof(h->cluster_id)));
        }
        json_close(&w, '}');
    }
    json_close(&w, ']');
    inspect_problems_print_json(problems, &w);
    json_close(&w, '}');
    json_end(&w);
}

int verb_inspect_hardstate(const struct invocation *in)
{
    static struct slot slots[HARDSTATE_SLOTS]; /* large */
    const char *path = in->args[0];
    struct inspect_problems problems;
    size_t n = 1;
    int rc = 0;
    memset(slots, 0, sizeof(slots));
    if (inspect_is_dir(path)) {
        n = HARDSTATE_SLOTS;
        if (!inspect_path(slots[0].path, path, "hardstate.0") ||
            !inspect_path(slots[1].path, path, "hardstate.1")) {
            return inspect_fail_open(path, ERR_TOOBIG);
        }
    } else {
        snprintf(slots[0].path, sizeof(slots[0].path), "%s", path);
    }
    inspect_problems_init(&problems);
    bool any = false;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = read_slot(&slots[i], &problems);
        any = any || strcmp(slots[i].state, "missing") != 0;
    }
    int code = EXIT_CODE_OK;
    if (rc != 0) {
        code = inspect_fail_open(path, rc);
    } else if (!any) {
        code = verb_fail(EXIT_CODE_NOT_FOUND,
                         "%s: no hard state; name a data directory, or one "
                         "of its hardstate.0 and hardstate.1",
                         path);
    }
    if (code == EXIT_CODE_OK) {
        const struct slot *winner = find_winner(slots, n);
        for (size_t i = 0; i < n; i++) {
            /* Both are written when the directory is made. */
            if (strcmp(slots[i].state, "missing") == 0) {
                inspect_problem_add(&problems, slots[i].path, 0,
                                    "the slot is missing");
            }
        }
        if (in->options.output == OUTPUT_JSON) {
            print_json(slots, n, winner, &problems);
        } else {
            print_table(slots, n, winner);
        }
        code = inspect_problems_report(&problems);
    }
    inspect_problems_close(&problems);
    return verb_finish(code);
}
