/* new_folder.h - a folder of files, or a single file, that appears whole under its name, or not at all.
 *
 * Its files, and those of folders in it, one level deep, are written into a folder of another name beside the target,
 * on the same file system; publishing gives it the target's name. A folder that is replaced stays until then. A process
 * that is killed leaves the folder of the other name, ".crossenc-...", behind, and nothing under the target's. */
#ifndef CEI_NEW_FOLDER_H
#define CEI_NEW_FOLDER_H

#include <crossenc/status.h>

/* Names in a folder: "config.json", or "1_Pooling/config.json". */
typedef struct cei_names {
    char **all;
    size_t count, capacity;
} cei_names;

/* Zeroed is empty. */
typedef struct cei_new_folder {
    char *target; /* as asked for, without slashes at its end */
    char *parent;
    char *path;                     /* where the files are written */
    char *spare;                    /* where the old folder waits if it cannot be exchanged in one step */
    bool is_made;                   /* path is there, and not published */
    bool replaces;                  /* of a file: the target may be there */
    cei_names names, folders;       /* of the files made so far, and of the folders in it */
    cei_names old, old_folders;     /* the same of the folder that is replaced */
    int descriptor, old_descriptor; /* of the two folders, one more than the system's; 0 is none */
} cei_new_folder;

/* Makes the folder beside the target, whose own folder must exist. A target that is there is an error, unless marks is
 * not NULL and the target is a folder that can be replaced: it has a file of one of these names (the last one is NULL),
 * or nothing; and the folders in it are those of a model's modules, called as "1_Pooling" is, with files alone in them.
 * Errors: IO, NOT_FOUND, ARGUMENT (a path that names no new folder), MEMORY. */
ce_status cei_new_folder_create(cei_new_folder *folder, const char *target, const char *const *marks, ce_error *error);

/* The same for a file: the folder is made beside it, and is to have one file. A target that is there is an error,
 * unless it is a file of which may_replace, which may be NULL, is true. Errors: as create. */
ce_status cei_new_folder_create_file(cei_new_folder *folder, const char *target, bool (*may_replace)(const char *path),
                                     ce_error *error);

/* The path of a file that is going to be made in the folder, to be freed. For "1_Pooling/config.json" the folder in it
 * is made. Errors: MEMORY, IO. */
ce_status cei_new_folder_add(cei_new_folder *folder, const char *name, char **path, ce_error *error);

/* Gives the folder, whose files are finished, the target's name, and removes the one that it replaces. *left is set if
 * that one could not be removed whole, and is in folder->path now. Errors: IO. */
ce_status cei_new_folder_publish(cei_new_folder *folder, bool *left, ce_error *error);

/* Gives the folder's one file, which is finished, the target's name, and removes the folder. Errors: IO. */
ce_status cei_new_folder_publish_file(cei_new_folder *folder, ce_error *error);

/* Removes what was not published, and frees. Allocates nothing. */
void cei_new_folder_free(cei_new_folder *folder);

#endif
