/* template_text.c - strings as Python has them. Relies on unicode.h for white space; never allocates. */
#include "text/template_text.h"

#include "text/unicode.h"
#include "text/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Python counts the four separators of ASCII as well. */
static bool is_white(uint32_t c) { return cei_unicode_is(c, CEI_UNICODE_WHITE) || (c >= 0x1C && c <= 0x1F); }

/* Is c in set, or white if there is none? */
static bool is_in(uint32_t c, ce_text set) {
    if (!set.data) return is_white(c);
    for (size_t at = 0; at < set.size;)
        if (cei_utf8_next(set.data, &at) == c) return true;
    return false;
}

static size_t leading(ce_text text, ce_text set) {
    size_t at = 0;
    while (at < text.size) {
        size_t next = at;
        if (!is_in(cei_utf8_next(text.data, &next), set)) break;
        at = next;
    }
    return at;
}

static size_t trailing(ce_text text, ce_text set) {
    size_t end = text.size;
    while (end > 0 && is_in(cei_utf8_previous(text.data, end), set)) {
        end--;
        while (end > 0 && !cei_utf8_is_boundary(text.data[end])) end--;
    }
    return text.size - end;
}

size_t cei_leading_white(ce_text text) { return leading(text, (ce_text){NULL, 0}); }

size_t cei_trailing_white(ce_text text) { return trailing(text, (ce_text){NULL, 0}); }

ce_text cei_text_strip(ce_text text, ce_text set, bool left, bool right) {
    if (left) {
        const size_t cut = leading(text, set);
        if (cut) text = (ce_text){text.data + cut, text.size - cut};
    }
    if (right) text.size -= trailing(text, set);
    return text;
}

size_t cei_text_length(ce_text text) {
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++) count += cei_utf8_is_boundary(text.data[i]);
    return count;
}

size_t cei_text_offset(ce_text text, size_t at, size_t index) {
    while (index > 0 && at < text.size) {
        cei_utf8_next(text.data, &at);
        index--;
    }
    return at;
}

size_t cei_text_find(ce_text text, ce_text part, size_t at) {
    if (part.size == 0) return at <= text.size ? at : SIZE_MAX;
    while (at < text.size && text.size - at >= part.size) {
        const char *found = memchr(text.data + at, part.data[0], text.size - at - part.size + 1);
        if (!found) return SIZE_MAX;
        at = (size_t)(found - text.data);
        if (memcmp(found, part.data, part.size) == 0) return at;
        at++;
    }
    return SIZE_MAX;
}

double cei_number_of(ce_text digits) {
    char plain[CEI_NUMBER_SIZE];
    size_t length = 0, decimals = 0;
    bool behind = false;
    for (size_t i = 0; i < digits.size && length + 8 < sizeof plain; i++) {
        if (digits.data[i] == '.') {
            behind = true;
            continue;
        }
        plain[length++] = digits.data[i];
        decimals += behind;
    }
    snprintf(plain + length, sizeof plain - length, "e-%zu", decimals);
    return strtod(plain, NULL);
}

/* The fewest significant digits that give the number back, without a point, and its exponent. */
static int shortest(double number, char digits[24]) {
    char text[CEI_NUMBER_SIZE];
    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, number);
        if (strtod(text, NULL) == number) break;
    }
    const char *mark = strchr(text, 'e');
    size_t count = 0;
    for (const char *p = text; p < mark && count < 23; p++)
        if (*p >= '0' && *p <= '9') digits[count++] = *p;
    digits[count] = '\0';
    return atoi(mark + 1);
}

size_t cei_number_format(double number, char out[CEI_NUMBER_SIZE]) {
    if (!isfinite(number))
        return (size_t)snprintf(out, CEI_NUMBER_SIZE, "%s", isnan(number) ? "nan" : number > 0 ? "inf" : "-inf");
    char digits[24];
    const int exponent = shortest(fabs(number), digits), count = (int)strlen(digits);
    const char *sign = signbit(number) ? "-" : "";
    if (exponent < -4 || exponent >= 16)
        return (size_t)snprintf(out, CEI_NUMBER_SIZE, "%s%c%s%se%c%02d", sign, digits[0], count > 1 ? "." : "",
                                digits + 1, exponent < 0 ? '-' : '+', abs(exponent));
    if (exponent < 0) return (size_t)snprintf(out, CEI_NUMBER_SIZE, "%s0.%.*d%s", sign, -exponent - 1, 0, digits);
    const int whole = exponent + 1;
    if (count <= whole) return (size_t)snprintf(out, CEI_NUMBER_SIZE, "%s%s%.*d.0", sign, digits, whole - count, 0);
    return (size_t)snprintf(out, CEI_NUMBER_SIZE, "%s%.*s.%s", sign, whole, digits, digits + whole);
}
