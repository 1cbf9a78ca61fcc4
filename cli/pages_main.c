/* concordctl_pages: writes one of the generated files. A program of the build,
 * not installed. */
#include <stdbool.h>
#include <string.h>

#include "cli/pages.h"

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(FILE *out);
    } rows[] = {{"man1", pages_print_man1},
                {"man8", pages_print_man8},
                {"bash", pages_print_bash},
                {"zsh", pages_print_zsh}};
    for (size_t i = 0; argc == 3 && i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(argv[1], rows[i].name) == 0) {
            FILE *out = fopen(argv[2], "we");
            if (out == NULL) {
                perror(argv[2]);
                return 1;
            }
            rows[i].print(out);
            bool failed = ferror(out) != 0;
            return fclose(out) != 0 || failed ? 1 : 0;
        }
    }
    fputs("usage: concordctl_pages man1|man8|bash|zsh FILE\n", stderr);
    return 2;
}
