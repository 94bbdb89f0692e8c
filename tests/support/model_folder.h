/* model_folder.h - a copy of a golden model's folder that a test may change, and files of it as JSON. */
#ifndef CE_MODEL_FOLDER_H
#define CE_MODEL_FOLDER_H

/* Copies what tests/data/golden/FOLDER has of a model's files into folder, which exists. */
void test_copy_model(const char *golden, const char *folder);

/* Sets a field of a JSON object in folder, or takes it away where value is NULL; value is JSON. The file is made where
 * there is none. Fails the test if it is no object. */
void test_set_json(const char *folder, const char *file, const char *key, const char *value);

#endif
