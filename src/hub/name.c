/* name.c - names of models, revisions and files. Relies on error.h; looks at no file. */
#include "hub/name.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

enum { LONGEST_PART = 96, LONGEST_FILE_PART = 255 };

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* A part of a repository's name: letters, digits, "_", "-" and ".", with neither of the last two at an end. */
static bool is_part(const char *text, size_t size) {
    if (size == 0 || size > LONGEST_PART || !is_word(text[0]) || !is_word(text[size - 1])) return false;
    for (size_t i = 0; i < size; i++)
        if (!is_word(text[i]) && text[i] != '-' && text[i] != '.') return false;
    return true;
}

/* The rules of the hub: "--" is what parts the words of a folder in the cache, ".git" ends URLs for git. */
static bool is_repository(const char *text) {
    const char *slash = strchr(text, '/');
    const char *last = slash ? slash + 1 : text;
    size_t size = strlen(last);
    if (strstr(text, "--") || strstr(text, "..")) return false;
    if (size >= 4 && strcmp(last + size - 4, ".git") == 0) return false;
    return (!slash || is_part(text, (size_t)(slash - text))) && is_part(last, size);
}

bool cei_file_name_is_safe(const char *name) {
    if (strlen(name) >= CEI_FILE_NAME_SIZE) return false;
    for (const char *part = name;; part++) {
        size_t size = strcspn(part, "/");
        bool is_dots = part[0] == '.' && (size == 1 || (size == 2 && part[1] == '.'));
        if (size == 0 || size > LONGEST_FILE_PART || is_dots) return false;
        for (size_t i = 0; i < size; i++)
            if ((unsigned char)part[i] < 0x20 || part[i] == 0x7F || part[i] == '\\') return false;
        part += size;
        if (!*part) return true;
    }
}

bool cei_is_hex(const char *text, size_t count) {
    return strlen(text) == count && strspn(text, "0123456789abcdef") == count;
}

static ce_status set_revision(const char *revision, cei_model_name *name, ce_error *error) {
    size_t size = strlen(revision);
    if (size >= sizeof name->revision || !cei_file_name_is_safe(revision) || strpbrk(revision, " ~^:?*[@"))
        return cei_fail(error, CE_ERR_ARGUMENT,
                        "\"%.80s\" can be no revision: give a branch, a tag, a commit, or refs/pr/N", revision);
    memcpy(name->revision, revision, size + 1);
    name->has_revision = true;
    return CE_OK;
}

ce_status cei_model_name_parse(const char *text, const char *revision, cei_model_name *name, ce_error *error) {
    *name = (cei_model_name){.revision = "main"};
    const char *at = strchr(text, '@');
    size_t size = at ? (size_t)(at - text) : strlen(text);
    if (size < sizeof name->repository) memcpy(name->repository, text, size);
    if (size >= sizeof name->repository || !is_repository(name->repository)) {
        name->repository[0] = '\0';
        return cei_fail(error, CE_ERR_ARGUMENT,
                        "\"%.200s\" is no name of a model: give ORGANIZATION/NAME, with @REVISION behind it if need be",
                        text);
    }
    if (at && revision && strcmp(at + 1, revision) != 0)
        return cei_fail(error, CE_ERR_ARGUMENT,
                        "the name \"%.200s\" has a revision, and \"%.80s\" is asked for: give "
                        "one of them",
                        text, revision);
    if (at || revision) return set_revision(at ? at + 1 : revision, name, error);
    return CE_OK;
}

bool cei_model_name_qualify(const cei_model_name *name, const char *organization, cei_model_name *qualified) {
    *qualified = *name;
    if (strchr(name->repository, '/')) return false;
    int length = snprintf(qualified->repository, sizeof qualified->repository, "%s/%s", organization, name->repository);
    return length > 0 && (size_t)length < sizeof qualified->repository && is_repository(qualified->repository);
}
