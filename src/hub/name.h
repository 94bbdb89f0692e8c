/* name.h - names of models, revisions and files: what may become part of a path, and of a URL. */
#ifndef CEI_HUB_NAME_H
#define CEI_HUB_NAME_H

#include <crossenc/status.h>

/* Bytes with the NUL. A part of a repository's name has 96 at most on the hub; git's own files bound a revision. */
enum { CEI_REPOSITORY_SIZE = 200, CEI_REVISION_SIZE = 256, CEI_FILE_NAME_SIZE = 512, CEI_COMMIT_SIZE = 41 };

typedef struct cei_model_name {
    char repository[CEI_REPOSITORY_SIZE]; /* "NAME" or "ORGANIZATION/NAME" */
    char revision[CEI_REVISION_SIZE];     /* "main" if none was asked for */
    bool has_revision;                    /* one was asked for */
} cei_model_name;

/* Reads "NAME[@REVISION]", where revision (not NULL) may say the latter instead. Errors: ARGUMENT (what is
 * wrong); name->repository is "" if it is the repository's name that is. */
ce_status cei_model_name_parse(const char *text, const char *revision, cei_model_name *name, ce_error *error);

/* The name with an organization before it, where it has none. false: it has one, or both together are no name. */
bool cei_model_name_qualify(const cei_model_name *name, const char *organization, cei_model_name *qualified);

/* May it be a file in a folder of ours? Relative, of parts that are neither empty, "." nor "..", at most 255 bytes
 * long, without control characters and backslashes; at most CEI_FILE_NAME_SIZE - 1 bytes in all. */
bool cei_file_name_is_safe(const char *name);

/* Is it count hexadecimal digits in lower case, and nothing else? */
bool cei_is_hex(const char *text, size_t count);

#endif
