/* Counts of the coverage points. */
#include "tests/sim/sim_cover.h"

#include <inttypes.h>

uint64_t sim_cover_counts[SIM_COVER_N];

const char *sim_cover_name(enum sim_cover_point point)
{
    static const char *const names[] = {
#define SIM_COVER_TEXT(name) #name,
        SIM_COVER_LIST(SIM_COVER_TEXT)
#undef SIM_COVER_TEXT
    };

    return names[point];
}

unsigned sim_cover_report(FILE *out, FILE *err)
{
    unsigned n_missed = 0;

    for (unsigned i = 0; i < SIM_COVER_N; i++) {
        fprintf(out, "%s%s=%" PRIu64, i % 4 == 0 ? "\n  " : " ",
                sim_cover_name(i), sim_cover_counts[i]);
        n_missed += sim_cover_counts[i] == 0;
    }
    fprintf(out, "\n");
    for (unsigned i = 0; i < SIM_COVER_N && n_missed > 0; i++) {
        if (sim_cover_counts[i] == 0) {
            fprintf(err, "coverage point missed: %s\n", sim_cover_name(i));
        }
    }
    return n_missed;
}
