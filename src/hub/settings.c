/* settings.c - options and variables of the environment. Relies on cache.h for where the hub's home is. A token is in
 * no message and no line of a log. */
#include "hub/settings.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "hub/cache.h"

#include <stdlib.h>
#include <string.h>

static const char default_endpoint[] = "https://huggingface.co";

enum { ATTEMPTS = 6, BACKOFF_MS = 500, TIMEOUT_MS = 10000, LONGEST_TIMEOUT_S = 86400 };

ce_status cei_hub_options_read(const ce_hub_options *given, ce_hub_options *options, ce_error *error) {
    *options = (ce_hub_options){.size = sizeof *options};
    if (!given) return CE_OK;
    ce_status status = cei_check_struct(given->size, sizeof *given, "ce_hub_options", error);
    if (status == CE_OK) *options = *given;
    return status;
}

ce_status cei_hub_give_path(const char *folder, char *path, size_t size, ce_error *error) {
    size_t need = strlen(folder) + 1;
    if (size < need)
        return cei_fail(error, CE_ERR_ARGUMENT, "the path of the model needs %zu bytes, and there are %zu", need, size);
    memcpy(path, folder, need);
    return CE_OK;
}

/* ---- the endpoint -------------------------------------------------------------------------------------------- */

static ce_status read_endpoint(cei_hub_settings *settings, ce_error *error) {
    const char *text = getenv("HF_ENDPOINT");
    if (!text || !*text) text = default_endpoint;
    size_t size = strlen(text);
    while (size && text[size - 1] == '/') size--;
    bool is_url = strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
    for (size_t i = 0; i < size; i++)
        if (text[i] <= 0x20 || text[i] == 0x7F || strchr("@?#\\", text[i])) is_url = false;
    if (!is_url || size > CEI_ENDPOINT_LIMIT)
        return cei_fail(error, CE_ERR_ARGUMENT,
                        "HF_ENDPOINT is \"%.200s\", and must be the URL of a hub, as https://huggingface.co", text);
    settings->endpoint = cei_copy_string(text, size);
    return settings->endpoint ? CE_OK : cei_fail_memory(error, "the hub's URL", size);
}

/* ---- the token ----------------------------------------------------------------------------------------------- */

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Takes text without blanks around it; one that is empty then is none. It becomes a line of a request's header. */
static ce_status take_token(cei_hub_settings *settings, const char *text, const char *source, ce_error *error) {
    size_t size = strlen(text);
    while (size && is_blank(text[size - 1])) size--;
    for (; size && is_blank(*text); text++) size--;
    if (!size) return CE_OK;
    bool is_good = size <= CEI_TOKEN_LIMIT;
    for (size_t i = 0; i < size; i++) is_good = is_good && text[i] > 0x20 && text[i] < 0x7F;
    if (!is_good)
        return cei_fail(error, CE_ERR_ARGUMENT,
                        "%s holds what can be no token: one has letters, digits and signs, at most %d, without blanks",
                        source, CEI_TOKEN_LIMIT);
    settings->token = cei_copy_string(text, size);
    return settings->token ? CE_OK : cei_fail_memory(error, "the token", size);
}

static ce_status read_token_file(cei_hub_settings *settings, ce_error *error) {
    const char *named = getenv("HF_TOKEN_PATH");
    char *home = NULL, *path = NULL, *data = NULL;
    size_t size = 0;
    ce_status status = named && *named ? cei_hub_expand(named, "", &path, error) : cei_hub_home(&home, error);
    if (status == CE_OK && home) {
        path = cei_join_path(home, "token");
        if (!path) status = cei_fail_memory(error, "the path of the token", 0);
    }
    if (status == CE_OK) status = cei_read_file(path, CEI_TOKEN_LIMIT * 2, &data, &size, error);
    if (status == CE_OK) status = take_token(settings, data, path, error);
    cei_free(home);
    cei_free(path);
    cei_free(data);
    return status == CE_ERR_NOT_FOUND ? CE_OK : status;
}

/* What everybody on this machine's account may use without being asked. */
static ce_status read_implicit_token(cei_hub_settings *settings, ce_error *error) {
    static const char *const names[] = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"};
    ce_status status = CE_OK;
    for (size_t i = 0; status == CE_OK && !settings->token && i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value) status = take_token(settings, value, names[i], error);
    }
    return status == CE_OK && !settings->token ? read_token_file(settings, error) : status;
}

static ce_status read_token(const ce_hub_options *options, cei_hub_settings *settings, ce_error *error) {
    if (options->token) return take_token(settings, options->token, "the token that was given", error);
    if (!options->need_token && cei_hub_flag("HF_HUB_DISABLE_IMPLICIT_TOKEN")) return CE_OK;
    ce_status status = read_implicit_token(settings, error);
    if (status != CE_OK || settings->token || !options->need_token) return status;
    return cei_fail(error, CE_ERR_NOT_FOUND,
                    "a token is needed, and there is none: log in with `hf auth login`, or set HF_TOKEN");
}

/* ---- patience ------------------------------------------------------------------------------------------------ */

static unsigned variable_ms(const char *name, unsigned unit_ms, unsigned otherwise) {
    const char *text = getenv(name);
    char *end = NULL;
    unsigned long value = text ? strtoul(text, &end, 10) : 0;
    if (!end || end == text || *end || value == 0 || value > LONGEST_TIMEOUT_S) return otherwise;
    return (unsigned)value * unit_ms;
}

static void read_patience(const ce_hub_options *options, cei_hub_settings *settings) {
    settings->attempts = options->attempts ? options->attempts : ATTEMPTS;
    settings->backoff_ms =
        options->backoff_ms ? options->backoff_ms : variable_ms("CROSSENC_HUB_BACKOFF_MS", 1, BACKOFF_MS);
    settings->timeout_ms =
        options->timeout_ms ? options->timeout_ms : variable_ms("HF_HUB_DOWNLOAD_TIMEOUT", 1000, TIMEOUT_MS);
}

static const char *find_certificates(void) {
    const char *named = getenv("CURL_CA_BUNDLE");
    if (!named || !*named) named = getenv("SSL_CERT_FILE");
    return named && *named ? named : NULL;
}

ce_status cei_hub_settings_read(const ce_hub_options *options, cei_hub_settings *settings, ce_error *error) {
    *settings = (cei_hub_settings){.log = {options->log, options->log_user},
                                   .progress = options->progress,
                                   .progress_user = options->progress_user,
                                   .certificates = find_certificates()};
    read_patience(options, settings);
    ce_status status = cei_hub_cache(options->cache, &settings->cache, error);
    if (status == CE_OK) status = read_endpoint(settings, error);
    if (status == CE_OK) status = read_token(options, settings, error);
    if (status != CE_OK) cei_hub_settings_free(settings);
    return status;
}

void cei_hub_settings_free(cei_hub_settings *settings) {
    cei_free(settings->cache);
    cei_free(settings->endpoint);
    cei_free(settings->token);
    *settings = (cei_hub_settings){0};
}
