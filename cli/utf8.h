/* utf8.h - well-formed UTF-8, what to put in place of the rest, and the columns that text takes on a terminal. */
#ifndef CLI_UTF8_H
#define CLI_UTF8_H

#include <crossenc/text.h>

/* Reads what begins at data[0] (size > 0): *point receives the character, or U+FFFD if the bytes are no UTF-8. Returns
 * how many bytes that was: of what is ill-formed, the longest part that could begin a character, at least 1, which
 * is what Python and the Unicode standard replace by one U+FFFD. *valid says which of both it was. */
size_t cli_utf8_read(const char *data, size_t size, uint32_t *point, bool *valid);

/* Where the first byte that is not UTF-8 stands; text.size if there is none. */
size_t cli_utf8_check(ce_text text);

/* Writes text to out with U+FFFD for what is ill-formed, and returns the bytes written: at most 3 * text.size. */
size_t cli_utf8_replace(ce_text text, char *out);

/* Columns of a character: 0 (it combines with the one before), 1 or 2. */
size_t cli_utf8_columns(uint32_t point);

#endif
