/* wrap.h - prose for people, in lines that fit the terminal. */
#ifndef CLI_WRAP_H
#define CLI_WRAP_H

#include "output.h"

/* A place for words: they begin at column, and further lines at indent. */
typedef struct cli_wrap {
    cli_output *output;
    size_t indent, column;
} cli_wrap;

/* Writes the words of text, parted by blanks and ends of lines, safe for a terminal (cli_write_plain). Lines have as
 * many columns as the terminal, at most 100, but for a word that alone has more. Ends no line. */
void cli_wrap_words(cli_wrap *wrap, ce_text text);

/* Ends the line, if it has begun, and goes back to column 0. */
void cli_wrap_end(cli_wrap *wrap);

/* Writes a text that has sections, as help has them. Each line is one of these:
 *   "Title"            a title, in bold
 *   "  label  words"   begins an entry: words go on under words
 *   "  words"          prose; goes on with prose that stands before it
 *   "      words"      goes on with what stands before it
 *   ""                 an empty line */
void cli_write_sections(cli_output *output, const char *text);

#endif
