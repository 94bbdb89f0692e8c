/* tokenizer_speed.c - how many megabytes of text a second one thread turns into token ids.
 *
 * usage: tokenizer_speed FOLDER FILE [ROUNDS]      each line of FILE is a text; the best of ROUNDS (5) counts
 *
 * Prints bytes, tokens, seconds, MB/s, and the milliseconds that loading took, as one JSON object. Sees the library's
 * internals, as tests do. */
#include "base/clock.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>

static char *read_whole(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) return NULL;
    long length = ftell(file);
    rewind(file);
    char *data = length >= 0 ? malloc((size_t)length + 1) : NULL;
    *size = data ? fread(data, 1, (size_t)length, file) : 0;
    fclose(file);
    return data;
}

/* Tokens of all lines, or 0 if one cannot be encoded. */
static size_t encode_lines(const cei_tokenizer *tokenizer, const char *data, size_t size, cei_token_buffer *buffer) {
    size_t tokens = 0;
    for (size_t at = 0; at < size;) {
        const char *end = memchr(data + at, '\n', size - at);
        size_t length = end ? (size_t)(end - data) - at : size - at;
        const ce_text text = {data + at, length};
        if (cei_tokenizer_encode(tokenizer, text, CE_UTF8_REPLACE, buffer, NULL) != CE_OK) return 0;
        tokens += buffer->count;
        at += length + 1;
    }
    return tokens;
}

int main(int argc, char **argv) {
    cei_tokenizer *tokenizer = NULL;
    cei_token_buffer buffer = {0};
    ce_error error = {CE_OK, ""};
    size_t size = 0, tokens = 0;
    char *data = argc > 2 ? read_whole(argv[2], &size) : NULL;
    long rounds = argc > 3 ? atol(argv[3]) : 5;
    double start = cei_now_ms(), best = 0;
    if (!data || cei_tokenizer_load(argv[1], &tokenizer, &error) != CE_OK) {
        fprintf(stderr, "usage: %s FOLDER FILE [ROUNDS]\n%s\n", argv[0], error.message);
        free(data);
        return 2;
    }
    double load_ms = cei_now_ms() - start;
    for (long round = 0; round < rounds; round++) {
        start = cei_now_ms();
        tokens = encode_lines(tokenizer, data, size, &buffer);
        double ms = cei_now_ms() - start;
        if (round == 0 || ms < best) best = ms;
    }
    printf("{\"bytes\": %zu, \"tokens\": %zu, \"seconds\": %.4f, \"mb_per_s\": %.1f, \"load_ms\": %.1f}\n", size,
           tokens, best / 1e3, (double)size / best / 1e3, load_ms);
    cei_token_buffer_free(&buffer);
    cei_tokenizer_free(tokenizer);
    free(data);
    return tokens > 0 ? 0 : 1;
}
