/* template_text.h - what Python's strings do, for templates: on well-formed UTF-8, counted in characters. */
#ifndef CEI_TEMPLATE_TEXT_H
#define CEI_TEMPLATE_TEXT_H

#include "text/bytes.h"

#include <crossenc/text.h>

/* The bytes of white space, as str.isspace has it, at the beginning and at the end. */
size_t cei_leading_white(ce_text text);
size_t cei_trailing_white(ce_text text);

/* The text without characters of set at its ends; without white space if set.data is NULL. */
ce_text cei_text_strip(ce_text text, ce_text set, bool left, bool right);

size_t cei_text_length(ce_text text); /* in characters */

/* The byte where character index begins, from byte at on; the end if there are fewer. */
size_t cei_text_offset(ce_text text, size_t at, size_t index);

/* Where part begins in text, from byte at on; SIZE_MAX if nowhere. At most text.size * part.size steps. */
size_t cei_text_find(ce_text text, ce_text part, size_t at);

/* The number that digits with at most one point are, read without regard to the locale. */
double cei_number_of(ce_text digits);

/* A number as Python's repr writes it: "0.1", "1e+16". */
enum { CEI_NUMBER_SIZE = 40 };
size_t cei_number_format(double number, char out[CEI_NUMBER_SIZE]);

#endif
