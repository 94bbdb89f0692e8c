/* scorer.h - a loaded model and what it did: the one place that loads and scores. */
#ifndef CLI_SCORER_H
#define CLI_SCORER_H

#include "options.h"
#include "progress.h"
#include "reader.h"

#include <crossenc/encoder.h>
#include <crossenc/score.h>

/* Pairs or texts that are worked on in one call: enough to sort by length and keep every thread busy, little enough to
 * hold. */
enum { CLI_CHUNK_PAIRS = 4096 };
#define CLI_CHUNK_BYTES ((size_t)16 << 20)

/* Zeroed is closed. */
typedef struct cli_scorer {
    const cli_settings *settings;
    ce_model *model;
    ce_model_info info;  /* of an encoder those fields that it has too */
    ce_encoder *encoder; /* in place of model */
    ce_encoder_info encoder_info;
    cli_progress progress;
    uint64_t pairs, tokens;              /* with an encoder: texts, and their tokens */
    uint64_t truncated, first_truncated; /* pairs that lost tokens; the first of them, counted from 0 */
    double seconds;                      /* spent scoring */
    double fraction_begin, fraction_end; /* of the whole work: where the next call begins and ends; negative: unknown */
    bool is_loading;
} cli_scorer;

/* Whose a model without an organization before its name is first taken to be, as in Sentence Transformers. */
#define CLI_CROSS_ENCODERS "cross-encoder"
#define CLI_ENCODERS "sentence-transformers"

/* Finds the folder that --model names, without any network, and writes its path. Errors: MODEL, USAGE, FAILED. */
cli_status cli_find_model(const char *name, const char *organization, char *path, size_t size, cli_error *error);

/* Loads the model of the settings, which must outlive the scorer. mode overrides --deferred if it is DEFERRED.
 * Errors: MODEL, DEVICE, USAGE, FAILED. */
cli_status cli_scorer_open(cli_scorer *scorer, const cli_settings *settings, ce_place_mode mode, cli_error *error);

/* The same for a bi-encoder, which must be named. */
cli_status cli_scorer_open_encoder(cli_scorer *scorer, const cli_settings *settings, ce_place_mode mode,
                                   cli_error *error);

/* As what the folder says that its model is: one of the two above. A name alone is first a cross-encoder's. */
cli_status cli_scorer_open_any(cli_scorer *scorer, const cli_settings *settings, ce_place_mode mode, cli_error *error);

/* The prompt of the settings, if they have one: *prompt is what the library is told. */
const ce_text *cli_scorer_prompt(const cli_scorer *scorer, ce_text *prompt);

/* Encodes count texts behind the prompt of the settings into embeddings [count, encoder_dimension]. */
cli_status cli_scorer_encode(cli_scorer *scorer, const ce_text *texts, size_t count, float *embeddings,
                             cli_error *error);

/* Scores count pairs into scores [count, num_labels]. */
cli_status cli_scorer_score(cli_scorer *scorer, const ce_pair *pairs, size_t count, float *scores, cli_error *error);

/* Says on standard error, unless quiet, how many pairs were truncated; first names the first of them. */
void cli_scorer_note_truncation(cli_scorer *scorer, const char *first);

/* Says on standard error, unless quiet or --format was given, that the first line, which is read as a text, is an
 * object of JSON that has a text: scores of its braces would look like any others. */
void cli_scorer_note_format(cli_scorer *scorer, const cli_reader *reader, ce_text line);

/* A dim line on standard error for people who watch: how many of what ("pair"), how fast, where. */
void cli_scorer_note_speed(cli_scorer *scorer, const char *what);

/* A failure if the model has several labels. */
cli_status cli_scorer_need_one_label(const cli_scorer *scorer, const char *command, cli_error *error);

void cli_scorer_close(cli_scorer *scorer);

#endif
