/* eval.c - crossenc eval: how much better the model's order is than the first stage's.
 *
 * As trec_eval does by default, measures are averaged over the queries that have both judgements and a run. The first
 * stage is measured on the same documents, the --top best of its own order. */
#include "collection.h"
#include "commands.h"
#include "format.h"

#include <crossenc/metrics.h>

#include <stdio.h>
#include <stdlib.h>

typedef struct eval_means {
    double ndcg, mrr, map, recall, recall_all; /* recall_all: of all documents that were re-ranked */
} eval_means;

typedef struct eval_job {
    const cli_settings *settings;
    cli_collection collection;
    cli_judgements judgements;
    int *relevance, *ideal; /* room for the longest ranking and the longest list of judgements */
    eval_means first_stage, reranked;
    cli_scorer scorer;
    cli_output output, run_output;
} eval_job;

static cli_status check_settings(const cli_settings *settings, cli_error *error) {
    if (!settings->corpus || !settings->queries || !settings->qrels || !settings->run) {
        return cli_fail(error, CLI_USAGE,
                        "eval needs --corpus, --queries, --qrels and --run; see 'crossenc eval --help'");
    }
    if (settings->argument_count > 0) {
        return cli_fail(error, CLI_USAGE, "eval takes options only, and was given \"%.80s\"", settings->arguments[0]);
    }
    return CLI_OK;
}

static cli_status read_judgements(eval_job *job, cli_error *error) {
    cli_reader reader = {0};
    cli_status status = cli_reader_open(&reader, job->settings->qrels, false, error);
    if (status == CLI_OK) status = cli_judgements_read(&job->judgements, &job->collection.run, &reader, error);
    cli_reader_close(&reader);
    return status;
}

/* Keeps the queries that have judgements, the first --max-queries of them. */
static cli_status choose_queries(eval_job *job, cli_error *error) {
    cli_collection *collection = &job->collection;
    size_t limit = job->settings->max_queries, kept = 0;
    for (size_t i = 0; i < collection->chosen_count; i++) {
        const cli_judgement *first;
        if (limit && kept == limit) break;
        if (cli_judgements_of(&job->judgements, collection->chosen[i], &first) == 0) continue;
        collection->chosen[kept++] = collection->chosen[i];
    }
    collection->chosen_count = kept;
    if (kept > 0) return CLI_OK;
    return cli_fail(error, CLI_INPUT, "no query of %s has judgements in %s; are both of one collection?",
                    job->settings->run, job->settings->qrels);
}

static cli_status make_room(eval_job *job, cli_error *error) {
    size_t ranking = 1;
    for (size_t i = 0; i < job->collection.chosen_count; i++) {
        size_t count;
        cli_collection_entries(&job->collection, job->collection.chosen[i], &count);
        if (count > ranking) ranking = count;
    }
    job->relevance = calloc(ranking, sizeof *job->relevance);
    job->ideal = calloc(job->judgements.count + 1, sizeof *job->ideal);
    return job->relevance && job->ideal ? CLI_OK : cli_fail_memory(error);
}

static int relevance_of(const cli_judgement *judged, size_t count, size_t document) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (judged[middle].document == document) return judged[middle].relevance;
        if (judged[middle].document < document)
            low = middle + 1;
        else
            high = middle;
    }
    return 0; /* not judged */
}

static void add_query(const eval_job *job, size_t query, eval_means *sums) {
    const cli_judgement *judged;
    size_t count, relevant = 0, k = job->settings->cutoff;
    size_t judged_count = cli_judgements_of(&job->judgements, query, &judged);
    const cli_entry *entries = cli_collection_entries(&job->collection, query, &count);
    for (size_t i = 0; i < judged_count; i++) {
        job->ideal[i] = judged[i].relevance;
        relevant += judged[i].relevance > 0;
    }
    for (size_t i = 0; i < count; i++) job->relevance[i] = relevance_of(judged, judged_count, entries[i].document);
    sums->ndcg += ce_metric_ndcg(job->relevance, count, job->ideal, judged_count, k);
    sums->mrr += ce_metric_reciprocal_rank(job->relevance, count, k);
    sums->map += ce_metric_average_precision(job->relevance, count, relevant, 0);
    sums->recall += ce_metric_recall(job->relevance, count, relevant, k);
    sums->recall_all += ce_metric_recall(job->relevance, count, relevant, 0);
}

static eval_means measure(const eval_job *job) {
    eval_means means = {0};
    double queries = (double)job->collection.chosen_count;
    for (size_t i = 0; i < job->collection.chosen_count; i++) add_query(job, job->collection.chosen[i], &means);
    means.ndcg /= queries;
    means.mrr /= queries;
    means.map /= queries;
    means.recall /= queries;
    means.recall_all /= queries;
    return means;
}

/* The measures as members of a JSON object. recall of all documents has the number that --top asked for. */
static void write_json_means(const eval_job *job, cli_output *output, const eval_means *means) {
    size_t k = job->settings->cutoff, top = job->settings->top;
    cli_print(output, "\"ndcg@%zu\":%.12g,\"mrr@%zu\":%.12g,\"map\":%.12g,\"recall@%zu\":%.12g", k, means->ndcg, k,
              means->mrr, means->map, k, means->recall);
    if (top == 0)
        cli_print(output, ",\"recall\":%.12g", means->recall_all);
    else if (top != k)
        cli_print(output, ",\"recall@%zu\":%.12g", top, means->recall_all);
}

static double pairs_per_second(const cli_scorer *scorer) {
    return scorer->seconds > 0 ? (double)scorer->pairs / scorer->seconds : 0;
}

static void write_json(eval_job *job) {
    cli_output *output = &job->output;
    const cli_scorer *scorer = &job->scorer;
    cli_write_string(output, "{");
    write_json_means(job, output, &job->reranked);
    cli_write_string(output, ",\"first_stage\":{");
    write_json_means(job, output, &job->first_stage);
    cli_print(output, "},\"queries\":%zu,\"pairs\":%llu,\"seconds\":%.3f,\"pairs_per_second\":%.1f}\n",
              job->collection.chosen_count, (unsigned long long)scorer->pairs, scorer->seconds,
              pairs_per_second(scorer));
}

enum { COLUMNS = 5, COLUMN_WIDTH = 12 };

static void list_means(const eval_means *means, double values[COLUMNS]) {
    const double all[COLUMNS] = {means->ndcg, means->mrr, means->map, means->recall, means->recall_all};
    for (int i = 0; i < COLUMNS; i++) values[i] = all[i];
}

/* Where recall of all documents is that of the cut, it is shown once. */
static int columns_of(const eval_job *job) {
    return job->settings->top == job->settings->cutoff ? COLUMNS - 1 : COLUMNS;
}

static void write_heads(cli_output *output, size_t k, size_t top, int columns) {
    static const char *const names[COLUMNS] = {"nDCG", "MRR", "MAP", "recall", "recall"};
    const size_t cuts[COLUMNS] = {k, k, 0, k, top};
    cli_print(output, "%s%-11s", cli_style(output, CLI_DIM), "");
    for (int i = 0; i < columns; i++) {
        char name[40];
        if (cuts[i])
            snprintf(name, sizeof name, "%s@%zu", names[i], cuts[i]);
        else
            snprintf(name, sizeof name, "%s", names[i]);
        cli_print(output, "%*s", COLUMN_WIDTH, name);
    }
    cli_print(output, "%s\n", cli_style(output, CLI_RESET));
}

static void write_row(cli_output *output, const char *name, const char *style, const eval_means *means, int columns) {
    double values[COLUMNS];
    list_means(means, values);
    cli_print(output, "%-11s%s", name, cli_style(output, style));
    for (int i = 0; i < columns; i++) cli_print(output, "%*.4f", COLUMN_WIDTH, values[i]);
    cli_print(output, "%s\n", cli_style(output, CLI_RESET));
}

static void write_change(cli_output *output, const eval_means *from, const eval_means *to, int columns) {
    double before[COLUMNS], after[COLUMNS];
    list_means(from, before);
    list_means(to, after);
    cli_print(output, "%-11s", "change");
    for (int i = 0; i < columns; i++) {
        double change = after[i] - before[i];
        bool is_nothing = change < 5e-5 && change > -5e-5;
        cli_print(output, "%s", cli_style(output, is_nothing ? CLI_DIM : change > 0 ? CLI_GREEN : CLI_RED));
        cli_print(output, "%+*.4f%s", COLUMN_WIDTH, is_nothing ? 0.0 : change, cli_style(output, CLI_RESET));
    }
    cli_write_string(output, "\n");
}

static void write_table(eval_job *job) {
    cli_output *output = &job->output;
    char pairs[CLI_NUMBER_SIZE];
    const cli_scorer *scorer = &job->scorer;
    const int columns = columns_of(job);
    write_heads(output, job->settings->cutoff, job->settings->top, columns);
    write_row(output, "first stage", "", &job->first_stage, columns);
    write_row(output, "re-ranked", CLI_BOLD, &job->reranked, columns);
    write_change(output, &job->first_stage, &job->reranked, columns);
    cli_print(output, "\n%s%zu queries, %s pairs in %.2f s (%.0f pairs/s)%s\n", cli_style(output, CLI_DIM),
              job->collection.chosen_count, cli_format_count(scorer->pairs, pairs), scorer->seconds,
              pairs_per_second(scorer), cli_style(output, CLI_RESET));
}

static cli_status read_all(eval_job *job, cli_error *error) {
    cli_status status = cli_collection_read_run(&job->collection, job->settings, error);
    if (status == CLI_OK) status = read_judgements(job, error);
    if (status == CLI_OK) status = choose_queries(job, error);
    if (status == CLI_OK) status = make_room(job, error);
    if (status == CLI_OK) status = cli_collection_read_texts(&job->collection, job->settings, error);
    return status;
}

static cli_status save_run(eval_job *job, cli_error *error) {
    if (!job->settings->save_run) return CLI_OK;
    cli_collection_write(&job->collection, job->settings, &job->run_output);
    return cli_output_commit(&job->run_output, error);
}

static cli_status evaluate(eval_job *job, cli_error *error) {
    job->first_stage = measure(job);
    cli_status status = cli_collection_rerank(&job->collection, &job->scorer, error);
    cli_progress_clear(&job->scorer.progress);
    if (status != CLI_OK) return status;
    job->reranked = measure(job);
    status = save_run(job, error);
    if (status != CLI_OK) return status;
    if (job->settings->json)
        write_json(job);
    else
        write_table(job);
    status = cli_output_commit(&job->output, error);
    cli_collection_note_truncation(&job->collection, &job->scorer);
    return status;
}

static cli_status run(eval_job *job, cli_error *error) {
    const cli_settings *settings = job->settings;
    cli_color color = (cli_color)settings->color;
    cli_status status = read_all(job, error);
    if (status == CLI_OK) status = cli_output_open(&job->output, NULL, color, error);
    if (status == CLI_OK && settings->save_run) {
        status = cli_output_open(&job->run_output, settings->save_run, color, error);
    }
    if (status == CLI_OK) status = cli_scorer_open(&job->scorer, settings, CE_PLACE_EAGER, error);
    if (status == CLI_OK) status = cli_scorer_need_one_label(&job->scorer, "eval", error);
    return status == CLI_OK ? evaluate(job, error) : status;
}

cli_status cli_eval(const cli_settings *settings, cli_error *error) {
    cli_status status = check_settings(settings, error);
    if (status != CLI_OK) return status;
    eval_job *job = calloc(1, sizeof *job);
    if (!job) return cli_fail_memory(error);
    job->settings = settings;
    status = run(job, error);
    cli_scorer_close(&job->scorer);
    cli_output_close(&job->output);
    cli_output_close(&job->run_output);
    cli_judgements_free(&job->judgements);
    cli_collection_free(&job->collection);
    free(job->relevance);
    free(job->ideal);
    free(job);
    return status;
}
