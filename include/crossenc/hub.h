/* crossenc/hub.h - models by name: found in folders that are here, fetched from the Hugging Face hub.
 *
 * A name is "NAME" or "ORGANIZATION/NAME", with "@REVISION" behind it or not: a branch, a tag, a commit, "refs/pr/7".
 * What is fetched lies in the hub's cache in the layout of the Python package huggingface_hub, so that each finds what
 * the other fetched. The same variables of the environment count:
 *
 *     HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE  the cache; else HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub,
 *                                          ~/.cache/huggingface/hub. SENTENCE_TRANSFORMERS_HOME comes before them all
 *     HF_HUB_OFFLINE                       1, yes, on or true: nothing is fetched; if unset, TRANSFORMERS_OFFLINE
 *     HF_ENDPOINT                          the hub (default: https://huggingface.co)
 *     HF_TOKEN, HUGGING_FACE_HUB_TOKEN     the token; else what is in the file HF_TOKEN_PATH (default: HF_HOME/token)
 *     HF_HUB_DISABLE_IMPLICIT_TOKEN        1, yes, on or true: no token but one that the caller gives
 *     HF_HUB_DOWNLOAD_TIMEOUT              seconds without a byte until a connection is given up (default: 10)
 *     CURL_CA_BUNDLE, SSL_CERT_FILE        certificates to trust, in place of the system's
 *     HTTPS_PROXY, NO_PROXY and the like   as libcurl has them
 *
 * A token is sent to the endpoint alone: never to a host, port or scheme that a reply leads to. */
#ifndef CROSSENC_HUB_H
#define CROSSENC_HUB_H

#include <crossenc/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where to look, and how to fetch. Zero every field but size for the defaults. Strings live as long as the call. */
typedef struct ce_hub_options {
    size_t size;              /* sizeof(ce_hub_options) as the caller was compiled */
    const char *cache;        /* folder of the cache; NULL: as the environment says */
    const char *revision;     /* NULL: what is behind the name's @, else "main" */
    const char *organization; /* whose a NAME without one is first taken to be; NULL: nobody's, as bert-base-uncased */
    const char *token;        /* NULL: as the environment says; "": none */
    bool need_token;          /* where no token is found, fail, and don't try without; not read if token is given */
    unsigned attempts;        /* how often a request is tried that fails in a way that may pass; 0: 6. Whenever
                                 64 KiB of a file came, the count begins anew */
    unsigned backoff_ms;      /* before the second attempt, doubled for each that follows, up to 16 times as much; 0: as
                                 CROSSENC_HUB_BACKOFF_MS says, else 500. A server's Retry-After of up to 60 s is
                                 waited for; a longer one is an error */
    unsigned timeout_ms;      /* without a byte, until a connection is given up; 0: as the environment says */
    ce_log_fn log;            /* NULL is silence */
    void *log_user;
    ce_progress_fn progress; /* NULL is none; bytes of the files that are missing. Called ten times a second at least */
    void *progress_user;
} ce_hub_options;

/* What a fetch did. */
typedef struct ce_hub_report {
    size_t size;            /* set by the caller: sizeof(ce_hub_report) */
    char repository[200];   /* under which it is cached, "ORGANIZATION/NAME" */
    char commit[64];        /* 40 hexadecimal digits */
    uint32_t files;         /* of the model's, those that crossenc has a use for */
    uint32_t files_fetched; /* of them, those that were not in the cache */
    uint64_t bytes;         /* of all these files */
    uint64_t bytes_fetched; /* that came over the network; less than the files have where a broken fetch went on */
    char base[200];         /* of a LoRA adapter, the model that it changes, which was fetched too, and whose files
                               count with its own; else "" */
} ce_hub_report;

/* Finds the folder of a model that is here, without any network. In this order:
 *
 *     a folder of that path
 *     that name in a folder of CROSSENC_MODELS, which are parted by colons, and beside the default model (names without
 *     revision)
 *     the hub's cache: as the organization's, then as it is
 *
 * In the cache a model counts whose weights are there. A LoRA adapter is found as a model is. name NULL is the default
 * model (ce_default_model_path).
 *
 * path, size   receives the folder with its terminating NUL
 *
 * Errors: NOT_FOUND (the message says where it was looked for); ARGUMENT (size too small; two revisions); IO, FORMAT
 * (files of the cache); MEMORY. Thread-safe. */
CE_API ce_status ce_model_find(const char *name, const ce_hub_options *options, char *path, size_t size,
                               ce_error *error);

/* Fetches what is missing of a model, after asking the hub which commit the revision is now, and gives the folder.
 *
 * Fetched are the files that crossenc can use: configs, tokenizer, modules with their folders, README and LICENSE, and
 * weights, safetensors where there are any, else PyTorch's. A repository that has no weights but a LoRA adapter's
 * (adapter_config.json, adapter_model.safetensors or .bin) is fetched with the model that base_model_name_or_path
 * names, unless that is a folder here. Each is checked by size and by the SHA-256 (large files) or
 * git's SHA-1 (others) that the hub names, before it gets its name; the revision points to the new commit only when all
 * are there. A call that fails, is cancelled or killed leaves what came, and the next one goes on from there; several
 * processes may fetch the same model at once. Host memory is bounded: files are streamed, and other replies, and
 * files that are lists, may have 4 MiB, parsed into at most 80 times as much.
 *
 * Needs libcurl 7.66 or later on the machine (libcurl.so.4), which is loaded by this call alone. libcurl before 7.84
 * must not be used for the first time by two threads at once.
 *
 * report   may be NULL
 *
 * Errors: NOT_FOUND (no such model or revision, or none that this token may see; HF_HUB_OFFLINE); IO (the network, the
 * hub, access that is denied, the disk); FORMAT (a reply, or a file's sum, is wrong); ARGUMENT (no name of a model, a
 * token that can be none; size); UNSUPPORTED (built without libcurl's headers, or no libcurl here); CANCELLED; MEMORY.
 * Thread-safe. */
CE_API ce_status ce_hub_pull(const char *name, const ce_hub_options *options, char *path, size_t size,
                             ce_hub_report *report, ce_error *error);

#ifdef __cplusplus
}
#endif
#endif
