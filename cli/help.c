/* help.c - texts of the help, which the options of options.c complete. The man page says the same at more length.
 * Lines are broken anew where they are shown (wrap.h), but for usage and examples. */
#include "help.h"

#include "options.h"
#include "wrap.h"

typedef struct help_text {
    int command;
    const char *usage; /* lines behind "Usage: " */
    const char *about;
    const char *more;     /* sections behind the options */
    const char *examples; /* a comment and a command each */
} help_text;

static const help_text texts[] = {
    {CLI_RANK,
     "crossenc rank [OPTION]... QUERY [DOCUMENT]...\n"
     "       crossenc rank [OPTION]... --run FILE --corpus FILE --queries FILE",
     "Ranks documents for a query, best first. Without DOCUMENT, documents are read from --documents or\n"
     "standard input. With --run, a first-stage run, such as BM25's, is re-ranked into a new run.",
     "Documents\n"
     "  lines    one a line (standard input, unless --format says otherwise)\n"
     "  tsv      id<TAB>text\n"
     "  jsonl    \"text\" or {\"_id\": \"...\", \"title\": \"...\", \"text\": \"...\"}; id and title may be missing\n"
     "\n"
     "Results\n"
     "  A table on a terminal; elsewhere lines of rank, score, index or id, text, parted by tabs. With --json a\n"
     "  line {\"index\":0,\"score\":0.98,\"text\":\"...\"} for each document; \"id\" is there if documents have ids.\n"
     "  The index counts from 0. Equal scores keep the order of the input.\n",
     "  # Three documents from the command line\n"
     "  crossenc rank 'what is a panda' 'hi' 'The giant panda is a bear native to China.' 'Paris is in France.'\n"
     "  # The ten best lines of a file, as JSON\n"
     "  crossenc rank --top-k 10 --json 'heat transfer in laminar flow' < abstracts.txt\n"
     "  # Documents with ids, on the first GPU\n"
     "  crossenc rank --device cuda:0 --documents corpus.jsonl --top-k 10 'heat transfer in laminar flow'\n"
     "  # Re-rank the 50 best of a BM25 run\n"
     "  crossenc rank --run bm25.trec --corpus corpus.jsonl --queries queries.jsonl --top 50 -o reranked.trec\n"},
    {CLI_PREDICT, "crossenc predict [OPTION]... [FILE]",
     "Scores pairs of texts: reads query<TAB>document lines from FILE or standard input, and writes a line of\n"
     "scores for each, in the same order, while it goes.",
     "Pairs\n"
     "  tsv      query<TAB>document (standard input, unless --format says otherwise)\n"
     "  jsonl    {\"query\": \"...\", \"document\": \"...\"} or [\"query\", \"document\"]\n"
     "\n"
     "Results\n"
     "  The score; for a model with several labels, all of them, parted by tabs. With --json {\"score\":0.98},\n"
     "  or {\"scores\":[...]} for several labels; with --json --logits {\"logits\":[...]}. A bad line ends the run;\n"
     "  scores of the lines before it have been written then (but no --output file).\n",
     "  # One pair\n"
     "  printf 'what is a panda\\tThe giant panda is a bear.\\n' | crossenc predict\n"
     "  # A file of pairs; raw logits\n"
     "  crossenc predict --logits pairs.tsv > logits.txt\n"
     "  # Probabilities of the labels of a model for entailment\n"
     "  crossenc predict --model nli-model --softmax --json pairs.jsonl\n"},
    {CLI_ENCODE, "crossenc encode [OPTION]... --model DIR|NAME [FILE]",
     "Encodes texts with a bi-encoder: reads one a line from FILE or standard input, and writes an embedding for\n"
     "each, in the same order.",
     "Texts\n"
     "  lines    one a line (standard input, unless --format says otherwise)\n"
     "  tsv      id<TAB>text\n"
     "  jsonl    \"text\" or {\"_id\": \"...\", \"title\": \"...\", \"text\": \"...\"}; id and title may be missing\n"
     "\n"
     "Results\n"
     "  jsonl    {\"embedding\":[0.01,...]}, with \"id\" before it if texts have ids\n"
     "  npy      an array of NumPy with a row for each text: float32, int8 or uint8; into a file (--output)\n"
     "\n"
     "Types\n"
     "  int8 and uint8 spread the range of each value over all texts of the run to 256 steps, so embeddings of two\n"
     "  runs don't compare; all are held in memory for it. binary and ubinary keep a bit of each value, whether it\n"
     "  is above 0, eight to a number.\n",
     "  # A file of texts, into an array for NumPy\n"
     "  crossenc encode --model my-encoder -o abstracts.npy abstracts.txt\n"
     "  # Questions, with the prompt that the model has for them\n"
     "  crossenc encode --model my-encoder --prompt-name query < abstracts.txt > questions.jsonl\n"
     "  # A collection with ids; 16 values of each embedding, of length 1\n"
     "  crossenc encode --model my-encoder --truncate-dim 16 --normalize corpus.jsonl\n"},
    {CLI_EVAL, "crossenc eval [OPTION]... --corpus FILE --queries FILE --qrels FILE --run FILE",
     "Re-ranks a first-stage run, such as BM25's, and measures it against judgements: nDCG, MRR, MAP and recall,\n"
     "with the numbers of trec_eval, beside those of the first stage.",
     "How it measures\n"
     "  Documents are ordered by score, and equal scores by id, descending, as trec_eval does. Means are over the\n"
     "  queries that have both judgements and a run. The first stage is measured on the same N documents\n"
     "  (--top). Gains of nDCG are linear.\n"
     "\n"
     "Results\n"
     "  A table; with --json an object with \"ndcg@10\", \"mrr@10\", \"map\", \"recall@10\", \"recall@100\",\n"
     "  \"first_stage\" (the same measures), \"queries\", \"pairs\", \"seconds\" and \"pairs_per_second\".\n",
     "  # A BEIR collection\n"
     "  crossenc eval --corpus corpus.jsonl --queries queries.jsonl --qrels qrels.tsv --run bm25.trec\n"
     "  # A quick look at 20 queries; keep the re-ranked run\n"
     "  crossenc eval -c corpus.jsonl -q queries.jsonl -j qrels.tsv -r bm25.trec --max-queries 20 -o new.trec\n"},
    {CLI_BENCH, "crossenc bench [OPTION]...",
     "Measures how fast the model is on this machine, and how near that is to what the machine could do:\n"
     "throughput by length, latency, cold start and memory. Of a bi-encoder texts are measured in place of pairs.",
     "What is measured\n"
     "  throughput  pairs and tokens a second, tokenizing included, of pairs of 16 to 512 tokens and of a\n"
     "              mixture of them, many pairs in a call; medians\n"
     "  of peak     operations that these scores need, against the peak of the device's products, measured\n"
     "              before and after. Counted are matrix products and attention, a multiply-add as two; of the\n"
     "              last layer keys and values of all tokens, and the rest of the first token alone\n"
     "  latency     one call with a query and 1, 10, 100 and 1,000 documents, 128 tokens a pair; p95 is told\n"
     "              from 20 repetitions on, p99 from 100 on\n"
     "  cold start  from the start of a process to its first score, with the model's files in the page cache\n"
     "  memory      resident set of this process after loading, and its most while scoring\n"
     "  The texts are built in. Programs that run at the same time lower all figures.\n",
     "  # The default model\n"
     "  crossenc bench\n"
     "  # Another one on one thread, roughly, for a program\n"
     "  crossenc bench --model my-model --threads 1 --quick --json > speed.json\n"
     "  # A picture of throughput\n"
     "  crossenc bench --only throughput --seconds 10 --plot speed.svg\n"},
    {CLI_DEVICES, "crossenc devices [OPTION]...",
     "Lists every kind of device that crossenc knows: what is there, what is usable, and why not.", "",
     "  crossenc devices\n"
     "  crossenc devices --json\n"
     "  # How fast they are: the most that a model could use\n"
     "  crossenc devices --measure\n"},
    {CLI_INSPECT, "crossenc inspect [OPTION]...",
     "Shows a model, cross-encoder or bi-encoder: architecture, tokenizer, labels or pooling, files, and where it\n"
     "would be placed with how many bytes.\n"
     "With --place it is placed, and the verified placement is shown.",
     "",
     "  # The default model\n"
     "  crossenc inspect\n"
     "  # Does this model work on that device?\n"
     "  crossenc inspect --model my-model --device cuda:0 --place\n"},
    {CLI_TOKENIZE,
     "crossenc tokenize [OPTION]... QUERY DOCUMENT\n       crossenc tokenize --model DIR [OPTION]... TEXT",
     "Shows the token ids of a pair as the model reads them, and what truncation took; of one text, those that a\n"
     "bi-encoder reads.",
     "",
     "  crossenc tokenize 'what is a panda' 'The giant panda is a bear.'\n"
     "  crossenc tokenize --max-length 16 --json 'what is a panda' 'The giant panda is a bear native to China.'\n"
     "  crossenc tokenize --model my-encoder --prompt 'query: ' 'what is a panda'\n"},
    {CLI_CONVERT, "crossenc convert [OPTION]... MODEL DIR|FILE.gguf",
     "Writes a model in another precision: DIR becomes a whole model folder, smaller and sooner loaded in that\n"
     "precision; FILE.gguf a GGUF file, with the tokenizer inside. It appears whole or, after an error,\n"
     "not at all. MODEL is a folder, a GGUF file or a name, as for --model, of a cross-encoder or of a bi-encoder.",
     "Forms\n"
     "  float32   every tensor F32; also what other programs read, made of a model in crossenc's int8 form\n"
     "  bfloat16  matrices and tables BF16, the rest F32\n"
     "  float16   matrices and tables F16, the rest F32\n"
     "  int8      large matrices and tables I8 with a scale for each row, the rest F32; the classifier stays F32,\n"
     "            and so do a bi-encoder's modules.\n"
     "            Other programs don't know the scales\n"
     "  GGUF      matrices and tables as --gguf-type says, the rest F32, for llama.cpp and its kin too; what such a\n"
     "            file cannot say of a model is an error that names it\n",
     "  # A model for --precision int8\n"
     "  crossenc convert --precision int8 my-model my-model-int8\n"
     "  # The default model, for programs that know float32 only\n"
     "  crossenc convert crossenc-small-en crossenc-small-en-float32\n"
     "  # One file, tokenizer and all\n"
     "  crossenc convert --gguf-type Q8_0 my-model my-model-Q8_0.gguf\n"},
    {CLI_PULL, "crossenc pull [OPTION]... ORG/NAME[@REVISION]...",
     "Fetches models from the Hugging Face hub into its cache, which Python's programs have too: what they fetched is\n"
     "there, and they find what is fetched here. REVISION is a branch, a tag, a commit or refs/pr/N (default: main).\n"
     "A fetch that was broken off goes on where it stopped.",
     "What is fetched\n"
     "  Configs, tokenizer, modules with their folders, README and LICENSE; weights as safetensors, or as PyTorch's\n"
     "  where there are no others. Each file is checked by the sum that the hub names.\n"
     "\n"
     "Environment\n"
     "  HF_HUB_CACHE, HF_HOME    where the cache is (default: ~/.cache/huggingface/hub)\n"
     "  HF_TOKEN, HF_TOKEN_PATH  a token for private and gated models (default: that of `hf auth login`)\n"
     "  HF_ENDPOINT              another hub than https://huggingface.co; it alone gets the token\n"
     "  HF_HUB_OFFLINE           fetch nothing, if it is 1\n"
     "  https_proxy, no_proxy    as curl has them\n"
     "\n"
     "Results\n"
     "  A few lines for each model, or with --json an object with \"model\", \"commit\", \"folder\", \"files\",\n"
     "  \"files_fetched\", \"bytes\" and \"bytes_fetched\". It needs libcurl on the machine.\n",
     "  # A re-ranker; from then on --model finds it by that name\n"
     "  crossenc pull cross-encoder/ms-marco-MiniLM-L6-v2\n"
     "  # Exactly this one, for a program\n"
     "  crossenc pull --json cross-encoder/ms-marco-MiniLM-L6-v2@c5ee24cb16019beea0893ab7796b1df96625c6b8\n"},
};

static void write_title(cli_output *output, const char *title) {
    cli_print(output, "\n%s%s%s\n", cli_style(output, CLI_BOLD), title, cli_style(output, CLI_RESET));
}

static void write_section(cli_output *output, const char *title, const char *text) {
    write_title(output, title);
    cli_write_sections(output, text);
}

/* Commands to be copied stay on their lines. */
static void write_examples(cli_output *output, const char *text) {
    write_title(output, "Examples");
    cli_write_string(output, text);
}

static void write_prose(cli_output *output, const char *text) {
    cli_wrap wrap = {.output = output};
    cli_wrap_words(&wrap, ce_text_of(text));
    cli_wrap_end(&wrap);
}

static const char general[] =
    "crossenc scores pairs of a query and a document with a cross-encoder, which reads both together, and ranks\n"
    "documents by that; with a bi-encoder, which reads a text by itself, it makes embeddings.\n";

static const char commands[] = "  rank       rank documents for a query, or re-rank a run\n"
                               "  predict    score pairs of texts\n"
                               "  encode     embeddings of texts, by a bi-encoder\n"
                               "  eval       measure a re-ranked run: nDCG, MRR, MAP, recall\n"
                               "  bench      measure throughput, latency, cold start and memory\n"
                               "  devices    list devices: what is usable, and why not\n"
                               "  inspect    show a model, its files and its placement\n"
                               "  tokenize   show the token ids of a pair or a text\n"
                               "  convert    write a model in another precision\n"
                               "  pull       fetch a model from the Hugging Face hub\n"
                               "  help       show this help, or that of a command\n";

static const char statuses[] = "  0    all went well\n"
                               "  1    no memory, or another fault\n"
                               "  2    the command line is wrong\n"
                               "  3    the model cannot be loaded or used\n"
                               "  4    no such device, or it failed\n"
                               "  5    input is missing, unreadable or malformed\n"
                               "  6    results cannot be written\n"
                               "  141  the reader of standard output went away\n";

static const char variables[] = "  CROSSENC_DEFAULT_MODEL  folder of the model to use when none is named\n"
                                "  CROSSENC_MODELS         folders, parted by colons, where models are found by name\n"
                                "  HF_HUB_CACHE, HF_HOME   where models of the hub are; 'crossenc help pull' has more\n"
                                "  LOCAL_RANK              which accelerator --device auto takes\n"
                                "  NO_COLOR                no colours, if it is set and not empty\n";

static const char examples[] = "  crossenc rank 'what is a panda' 'hi' 'The giant panda is a bear native to China.'\n"
                               "  crossenc predict < pairs.tsv\n"
                               "  crossenc help rank\n";

static void write_general(cli_output *output) {
    cli_print(output, "%sUsage:%s crossenc COMMAND [OPTION]... [ARGUMENT]...\n       crossenc --version\n\n",
              cli_style(output, CLI_BOLD), cli_style(output, CLI_RESET));
    write_prose(output, general);
    write_section(output, "Commands", commands);
    write_section(output, "Exit status", statuses);
    write_section(output, "Environment", variables);
    write_examples(output, examples);
    cli_write_string(output, "\n'crossenc help COMMAND' tells of a command's options. All of it is in crossenc(1).\n");
}

void cli_help(int command, cli_output *output) {
    const help_text *text = NULL;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i].command == command) text = &texts[i];
    }
    if (!text) {
        write_general(output);
        return;
    }
    cli_print(output, "%sUsage:%s %s\n\n", cli_style(output, CLI_BOLD), cli_style(output, CLI_RESET), text->usage);
    write_prose(output, text->about);
    cli_options_describe(command, output);
    if (text->more[0]) {
        cli_write_string(output, "\n");
        cli_write_sections(output, text->more);
    }
    write_examples(output, text->examples);
    cli_write_string(output, "\nExit status: see 'crossenc help'.\n");
}
