/* Text forms of bytes: UTF-8 validity, TSV escapes, base64, and numbers for
 * people. Pure; everything takes a size and carries its bound. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Length (1..4) of the well-formed UTF-8 sequence at data (Unicode 15, table
 * 3-7: no overlong forms, no surrogates, nothing above U+10FFFF), else 0. */
size_t text_utf8_size(const void *data, size_t size);
bool text_is_utf8(const void *data, size_t size);

/* Undo \t \n \r \\ \xNN in place; *size shrinks.
 * Errors: ERR_INVALID, *bad_offset is where the wrong escape begins. */
int text_unescape(char *data, size_t *size, size_t *bad_offset);

/* Write data so that text_unescape gives it back and a terminal takes no
 * harm: controls (C0, DEL, C1) and what is not UTF-8 become escapes. */
void text_print_escaped(FILE *out, const void *data, size_t size);

/* Standard base64 (RFC 4648 section 4) with padding. */
void text_print_base64(FILE *out, const void *data, size_t size);
/* Decode in place; *size shrinks. Errors: ERR_INVALID (a character outside
 * the alphabet, wrong length or padding, or unused bits that are not zero). */
int text_decode_base64(char *data, size_t *size);

/* The value of one hexadecimal digit, -1 if it is none. */
int text_hex_value(char c);

enum { TEXT_NUMBER_MAX = 32 };

/* "12,345"; "1.4 MiB"; "0.8 s", "2m 05s". out has TEXT_NUMBER_MAX bytes. */
char *text_count(char *out, uint64_t n);
char *text_bytes(char *out, uint64_t n);
char *text_duration(char *out, int64_t ms);

/* A whole decimal number in min..max. Errors: ERR_INVALID, ERR_RANGE. */
int text_parse_count(const char *text, uint64_t min, uint64_t max,
                     uint64_t *out);
/* "5", "2.5", "300ms", "1m": seconds unless a unit follows; at least 1 ms and
 * at most a day. Errors: ERR_INVALID, ERR_RANGE. */
int text_parse_duration(const char *text, int64_t *out_ms);

#endif
