/* format.h - values as text: scores that read back the same, JSON strings, text that is safe on a terminal. */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include "output.h"

#include <crossenc/device.h>

#define CLI_NUMBER_SIZE 32

/* Arguments for "%.*s" that show a text in a message: at most 200 bytes of it. */
#define CLI_SHOWN(text) (int)((text).size < 200 ? (text).size : 200), (text).data

/* The shortest of %.6g to %.9g that reads back as the same float32, written into buffer; returns buffer. */
const char *cli_format_score(float score, char buffer[static CLI_NUMBER_SIZE]);

/* The same as a JSON value: null for what JSON cannot say (NaN, infinities). */
const char *cli_format_json_score(float score, char buffer[static CLI_NUMBER_SIZE]);

/* "1,234,567" */
const char *cli_format_count(uint64_t count, char buffer[static CLI_NUMBER_SIZE]);

/* "21.9 MiB" */
const char *cli_format_bytes(uint64_t bytes, char buffer[static CLI_NUMBER_SIZE]);

/* What a thousand million operations a second are called: products in int8 have no floating point. */
const char *cli_rate_unit(ce_precision precision);

/* What a model's path is that of: "file", as of GGUF, or "folder". */
const char *cli_path_kind(const char *path);

/* text as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void cli_write_json(cli_output *output, ce_text text);

/* text on one line: tabs, line ends and other control characters become spaces, so that no text can drive the
 * terminal or break a column. Cut with "…" to columns; 0 is no limit. */
void cli_write_plain(cli_output *output, ce_text text, size_t columns);

/* The columns that text takes so. */
size_t cli_plain_columns(ce_text text);

/* Makes a message safe in the same way, in place. */
void cli_make_plain(char *message);

#endif
