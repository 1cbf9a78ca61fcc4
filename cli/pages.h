/* Manual pages and shell completion, made from the tables of verbs and options
 * when the programs are built, so that they cannot say anything else.
 *
 *   concordctl_pages man1|man8|bash|zsh FILE */
#ifndef CLI_PAGES_H
#define CLI_PAGES_H

#include <stdio.h>

/* Text with what mdoc would interpret made plain; a newline becomes a blank,
 * two of them a new paragraph. */
void pages_print_text(FILE *out, const char *text);

void pages_print_man1(FILE *out); /* concordctl */
void pages_print_man8(FILE *out); /* concordkv */
void pages_print_bash(FILE *out);
void pages_print_zsh(FILE *out);

#endif
