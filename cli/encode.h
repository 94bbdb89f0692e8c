/* encode.h - the forms in which crossenc encode writes embeddings. */
#ifndef CLI_ENCODE_H
#define CLI_ENCODE_H

typedef enum cli_embedding_format {
    CLI_TO_AUTO = 0, /* npy if the output's name ends so */
    CLI_TO_JSONL = 1,
    CLI_TO_NPY = 2
} cli_embedding_format;

#endif
