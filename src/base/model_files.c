/* model_files.c - the list of model_files.h. What crossenc reads, what other programs need for the same models, and
 * what says who may use them; nothing else is known to belong to a model. */
#include "base/model_files.h"

#include <string.h>
#include <strings.h>

typedef struct known_file {
    const char *name;
    cei_file_use use;
} known_file;

/* The Python package has a pattern that these fit: bindings/python/crossenc/_save.py. */
static const known_file known_files[] = {
    {"config.json", CEI_FILE_PART},
    {"modules.json", CEI_FILE_LAYOUT},
    {"config_sentence_transformers.json", CEI_FILE_LAYOUT},
    {"sentence_bert_config.json", CEI_FILE_LAYOUT},
    {"sentence_roberta_config.json", CEI_FILE_LAYOUT},
    {"sentence_distilbert_config.json", CEI_FILE_LAYOUT},
    {"sentence_camembert_config.json", CEI_FILE_LAYOUT},
    {"sentence_albert_config.json", CEI_FILE_LAYOUT},
    {"sentence_xlm-roberta_config.json", CEI_FILE_LAYOUT},
    {"sentence_xlnet_config.json", CEI_FILE_LAYOUT},
    {"tokenizer_config.json", CEI_FILE_PART},
    {"chat_template.jinja", CEI_FILE_PART},
    {"tokenizer.json", CEI_FILE_PART},
    {"special_tokens_map.json", CEI_FILE_PART},
    {"added_tokens.json", CEI_FILE_PART},
    {"vocab.txt", CEI_FILE_PART},
    {"vocab.json", CEI_FILE_PART},
    {"merges.txt", CEI_FILE_PART},
    {"sentencepiece.bpe.model", CEI_FILE_PART},
    {"spiece.model", CEI_FILE_PART},
    {"spm.model", CEI_FILE_PART},
    {"tokenizer.model", CEI_FILE_PART},
    {"README.md", CEI_FILE_PEOPLE},
    {"LICENSE", CEI_FILE_PEOPLE},
    {"LICENSE.md", CEI_FILE_PEOPLE},
    {"LICENSE.txt", CEI_FILE_PEOPLE},
    {"NOTICE", CEI_FILE_PEOPLE},
    {"NOTICE.txt", CEI_FILE_PEOPLE},
};

const char *cei_model_file(unsigned uses, size_t i) {
    for (size_t at = 0; at < sizeof known_files / sizeof *known_files; at++)
        if ((known_files[at].use & uses) != 0 && i-- == 0) return known_files[at].name;
    return NULL;
}

bool cei_model_file_is_gguf(const char *name) {
    static const char ending[] = ".gguf";
    const size_t size = strlen(name);
    return size >= sizeof ending && strcasecmp(name + size - (sizeof ending - 1), ending) == 0;
}
