/* bench_text.c - pairs of texts of exactly as many tokens as wanted, from a built-in English text.
 *
 * Relies on words being tokenized one by one, as WordPiece does; where a model's tokenizer does not, lengths are near
 * what was wanted, and the library's own count is what is reported. */
#include "bench.h"

#include <stdlib.h>

static const char text[] =
    "The harbour had been quiet for most of the winter, and the few ships that came in unloaded grain, timber and "
    "machine parts. In spring the council decided to measure how much silt the river carries, because the channel had "
    "become too shallow for larger vessels. A team of four engineers lowered instruments from a small boat every "
    "morning at the same hour and wrote down temperature, salinity, speed of the current and the weight of sediment in "
    "a litre of water. What they found was surprising: after heavy rain the water near the surface was almost clear, "
    "while a dense layer crept along the bottom toward the sea. Models of the estuary that assume a well mixed column "
    "could not explain this. The engineers therefore borrowed an acoustic profiler from the university, compared its "
    "echoes with their samples, and published a method that other ports have used since. Dredging was moved from "
    "autumn to late spring, which reduced its cost by a third and left the spawning grounds of the smelt undisturbed. "
    "Critics answered that one season proves little, and that a dry year would look different. They asked for an "
    "independent review, longer records and open data. Both sides agreed on a simple rule: no decision without "
    "measurements from at least three years, and every table available to anyone who wants to check it. Visitors can "
    "read the current values on a board beside the old customs house, where children like to guess whether the number "
    "will rise before the ferry leaves. ";

/* One token of any WordPiece model: a letter is in the vocabulary, or is unknown as a whole. */
static const char filler[] = "a";

/* Tokens of a query: as many as searches have, and no more than a third of a short pair. */
enum { QUERY_TOKENS = 10, QUERY_SHARE = 3 };

/* Steps between the words with which texts of neighbouring numbers begin: coprime to how many words there are. */
enum { DOCUMENT_STEP = 37, QUERY_STEP = 17 };

static size_t count_words(void) {
    size_t count = 0;
    for (const char *at = text; *at; at++) count += *at == ' ';
    return count;
}

/* Tokens of a bi-encoder's text behind no prompt, without the special ones, and with them. */
static ce_status count_of_text(const cli_scorer *scorer, ce_text one, size_t *tokens, size_t *whole, ce_error *why) {
    const ce_text none = {NULL, 0};
    const ce_encode_options options = {.size = sizeof options, .prompt = &none};
    ce_text_tokens found = {0};
    ce_status status = ce_encoder_tokenize(scorer->encoder, one, &options, NULL, NULL, 0, &found, why);
    *whole = found.count;
    *tokens = found.count + found.removed - scorer->info.special_tokens;
    return status;
}

/* Tokens of the texts of a pair without the special ones, and with them. */
static ce_status count_of_pair(const cli_scorer *scorer, ce_text query, size_t *tokens, size_t *whole, ce_error *why) {
    ce_truncation cut = {0};
    const ce_pair pair = {query, {NULL, 0}};
    ce_status status = ce_tokenize(scorer->model, pair, NULL, NULL, NULL, 0, whole, &cut, why);
    *tokens = cut.query_tokens;
    return status;
}

static cli_status count_tokens(const cli_scorer *scorer, ce_text word, size_t *tokens, size_t *whole,
                               cli_error *error) {
    ce_error why = {0};
    const ce_status status = scorer->encoder ? count_of_text(scorer, word, tokens, whole, &why)
                                             : count_of_pair(scorer, word, tokens, whole, &why);
    return status == CE_OK ? CLI_OK : cli_fail_call(error, status, &why);
}

cli_status cli_bench_words_open(cli_bench_words *words, const cli_scorer *scorer, cli_error *error) {
    size_t none, whole;
    *words = (cli_bench_words){.count = count_words()};
    words->words = calloc(words->count, sizeof *words->words);
    words->tokens = calloc(words->count, sizeof *words->tokens);
    if (!words->words || !words->tokens) return cli_fail_memory(error);
    cli_status status = count_tokens(scorer, (ce_text){NULL, 0}, &none, &words->specials, error);
    const char *at = text;
    for (size_t i = 0; i < words->count && status == CLI_OK; i++, at++) {
        words->words[i] = (ce_text){at, strcspn(at, " ")};
        at += words->words[i].size;
        status = count_tokens(scorer, words->words[i], &words->tokens[i], &whole, error);
        if (words->tokens[i] == 0) words->tokens[i] = 1; /* or a text of them would have no end */
    }
    return status;
}

void cli_bench_words_close(cli_bench_words *words) {
    free(words->words);
    free(words->tokens);
    *words = (cli_bench_words){0};
}

/* The words of a text of tokens tokens, from word first on, handed one by one to an arena or, without one, counted. */
static size_t join_words(const cli_bench_words *words, size_t tokens, size_t first, char *out) {
    size_t size = 0;
    while (tokens > 0) {
        const size_t word = first++ % words->count;
        /* What the next word would exceed is filled up by single letters. */
        const bool fits = words->tokens[word] <= tokens;
        const ce_text next = fits ? words->words[word] : ce_text_of(filler);
        tokens -= fits ? words->tokens[word] : 1;
        if (size > 0 && out) out[size] = ' ';
        size += size > 0;
        if (out) memcpy(out + size, next.data, next.size);
        size += next.size;
    }
    return size;
}

static cli_status make_text(const cli_bench_words *words, size_t tokens, size_t first, cli_arena *arena, ce_text *made,
                            cli_error *error) {
    const size_t size = join_words(words, tokens, first, NULL);
    char *data = cli_arena_take(arena, size);
    if (!data) return cli_fail_memory(error);
    join_words(words, tokens, first, data);
    *made = (ce_text){data, size};
    return CLI_OK;
}

cli_status cli_bench_make_text(const cli_bench_words *words, size_t tokens, size_t number, cli_arena *arena,
                               ce_text *made, cli_error *error) {
    const size_t body = tokens > words->specials ? tokens - words->specials : 0;
    return make_text(words, body, number * DOCUMENT_STEP, arena, made, error);
}

cli_status cli_bench_make_pair(const cli_bench_words *words, size_t tokens, size_t number, const ce_text *query,
                               cli_arena *arena, ce_pair *pair, cli_error *error) {
    const size_t body = tokens > words->specials ? tokens - words->specials : 0;
    const size_t share = body / QUERY_SHARE < QUERY_TOKENS ? body / QUERY_SHARE : QUERY_TOKENS;
    cli_status status = CLI_OK;
    if (query)
        pair->query = *query;
    else
        status = make_text(words, share, number * QUERY_STEP, arena, &pair->query, error);
    if (status != CLI_OK) return status;
    return make_text(words, body - share, number * DOCUMENT_STEP, arena, &pair->document, error);
}
