/* piece_score.c - decimal numbers to doubles, in the two ways of the reference. No locale has a say. */
#include "text/piece_score.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Larger exponents, and more digits, are none of a score's. */
#define EXPONENT_LIMIT 300
#define DIGITS_LIMIT 40

/* Integers up to 2^53, and powers of ten up to this, are doubles: one division rounds once. */
#define EXACT_POWER 22

typedef struct decimal {
    bool negative;
    uint64_t digits; /* as many of them as 64 bits hold; the package drops those behind the point that don't fit */
    int exponent;    /* of digits */
    char text[DIGITS_LIMIT]; /* all of them, and their exponent */
    size_t size;
    int text_exponent;
} decimal;

static bool is_digit(const char *text, size_t size, size_t at) {
    return at < size && text[at] >= '0' && text[at] <= '9';
}

/* Takes the digits at *at; false if there are none, or too many. */
static bool take_digits(const char *text, size_t size, bool fraction, decimal *number, size_t *at) {
    if (!is_digit(text, size, *at)) return false;
    for (bool full = false; is_digit(text, size, *at); (*at)++) {
        const unsigned digit = (unsigned)(text[*at] - '0');
        if (number->size == DIGITS_LIMIT) return false;
        number->text[number->size++] = text[*at];
        number->text_exponent -= fraction;
        full = full || number->digits > (UINT64_MAX - digit) / 10;
        if (full && !fraction) return false;
        if (full) continue;
        number->digits = number->digits * 10 + digit;
        number->exponent -= fraction;
    }
    return true;
}

static bool take_exponent(const char *text, size_t size, decimal *number, size_t *at) {
    if (*at == size || (text[*at] != 'e' && text[*at] != 'E')) return true;
    (*at)++;
    bool negative = *at < size && text[*at] == '-';
    if (*at < size && (text[*at] == '-' || text[*at] == '+')) (*at)++;
    if (!is_digit(text, size, *at)) return false;
    int exponent = 0;
    for (; is_digit(text, size, *at); (*at)++) {
        exponent = exponent * 10 + (text[*at] - '0');
        if (exponent > EXPONENT_LIMIT) return false;
    }
    number->exponent += negative ? -exponent : exponent;
    number->text_exponent += negative ? -exponent : exponent;
    return true;
}

static bool take_number(const char *text, size_t size, decimal *number, size_t *used) {
    size_t at = 0;
    number->negative = size > 0 && text[0] == '-';
    at += number->negative;
    if (is_digit(text, size, at) && text[at] == '0' && is_digit(text, size, at + 1)) return false;
    if (!take_digits(text, size, false, number, &at)) return false;
    if (at < size && text[at] == '.') {
        at++;
        if (!take_digits(text, size, true, number, &at)) return false;
    }
    if (!take_exponent(text, size, number, &at)) return false;
    *used = at;
    return number->exponent <= EXPONENT_LIMIT && number->exponent >= -EXPONENT_LIMIT;
}

/* 10 to the power, which is at least 0. Without a point strtod has no locale. */
static double power_of_ten(int power) {
    static const double exact[EXACT_POWER + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (power <= EXACT_POWER) return exact[power];
    char text[16];
    snprintf(text, sizeof text, "1e%d", power);
    return strtod(text, NULL);
}

static double divided(const decimal *number) {
    double value = (double)number->digits;
    return number->exponent < 0 ? value / power_of_ten(-number->exponent) : value * power_of_ten(number->exponent);
}

static double nearest(const decimal *number) {
    bool one_rounding = number->digits <= UINT64_C(1) << 53 && number->exponent >= -EXACT_POWER &&
                        number->exponent <= EXACT_POWER && number->exponent == number->text_exponent;
    if (one_rounding) return divided(number);
    char text[DIGITS_LIMIT + 16];
    memcpy(text, number->text, number->size);
    snprintf(text + number->size, 16, "e%d", number->text_exponent);
    return strtod(text, NULL);
}

bool cei_piece_score_read(const char *text, size_t size, bool exact, double *score, size_t *used) {
    decimal number = {0};
    if (!take_number(text, size, &number, used)) return false;
    double value = exact ? nearest(&number) : divided(&number);
    *score = number.negative ? -value : value;
    return isfinite(value);
}
