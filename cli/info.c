/* The INFO reply; see info.h. */
#include "cli/info.h"

#include <string.h>

#include "cli/text.h"

static const struct {
    const char *name;
    size_t offset;
} numbers[INFO_N_NUMBERS] = {
#define INFO_ROW(field, name) {name, offsetof(struct node_info, field)},
    INFO_NUMBERS(INFO_ROW)
#undef INFO_ROW
};

static const char *const roles[] = {"-", "leader", "follower", "candidate",
                                    "learner"};

const char *info_role_name(enum info_role role)
{
    return roles[role];
}

bool info_has(const struct node_info *info, enum info_number number)
{
    return (info->present & (1u << number)) != 0;
}

const char *info_number_name(enum info_number number)
{
    return numbers[number].name;
}

uint64_t info_number_value(const struct node_info *info,
                           enum info_number number)
{
    uint64_t v;
    memcpy(&v, (const char *)info + numbers[number].offset, sizeof(v));
    return v;
}

static bool is_name(const char *name, size_t size, const char *wanted)
{
    return size == strlen(wanted) && memcmp(name, wanted, size) == 0;
}

static void info_take_text(struct node_info *info, const char *name,
                           size_t name_size, const char *value)
{
    char *to = NULL;
    if (is_name(name, name_size, "cluster_id")) {
        to = info->cluster_id;
    } else if (is_name(name, name_size, "state_hash")) {
        to = info->state_hash;
    } else if (is_name(name, name_size, "raft_leader_address")) {
        to = info->leader_address;
    } else if (is_name(name, name_size, "version")) {
        to = info->version;
    } else if (is_name(name, name_size, "raft_role")) {
        for (size_t i = 1; i < sizeof(roles) / sizeof(roles[0]); i++) {
            if (strcmp(value, roles[i]) == 0) {
                info->role = (enum info_role)i;
            }
        }
    }
    if (to != NULL) {
        strcpy(to, value);
    }
}

static void info_take_line(struct node_info *info, const char *line,
                           size_t size)
{
    char value[INFO_TEXT_MAX];
    const char *colon = memchr(line, ':', size);
    if (colon == NULL || line[0] == '#') {
        return;
    }
    size_t name_size = (size_t)(colon - line);
    size_t value_size = size - name_size - 1;
    if (value_size >= sizeof(value)) {
        return;
    }
    memcpy(value, colon + 1, value_size);
    value[value_size] = '\0';
    for (unsigned i = 0; i < INFO_N_NUMBERS; i++) {
        uint64_t v;
        if (is_name(line, name_size, numbers[i].name) &&
            text_parse_count(value, 0, UINT64_MAX, &v) == 0) {
            memcpy((char *)info + numbers[i].offset, &v, sizeof(v));
            info->present |= 1u << i;
            return;
        }
    }
    info_take_text(info, line, name_size, value);
}

void info_parse(struct node_info *info, const char *text, size_t size)
{
    memset(info, 0, sizeof(*info));
    while (size > 0) {
        const char *newline = memchr(text, '\n', size);
        size_t line_size = newline == NULL ? size : (size_t)(newline - text);
        size_t step = newline == NULL ? size : line_size + 1;
        if (line_size > 0 && text[line_size - 1] == '\r') {
            line_size--;
        }
        if (line_size > 0) {
            info_take_line(info, text, line_size);
        }
        text += step;
        size -= step;
    }
}
