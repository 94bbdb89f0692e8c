/* crossenc/metrics.h - how good a ranking is, measured as trec_eval does. */
#ifndef CROSSENC_METRICS_H
#define CROSSENC_METRICS_H

#include <crossenc/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Relevance measures of one ranked list.
 *
 * relevance  [count] judged relevance of the documents in ranked order; 0 or less is not relevant, and an
 *            unjudged document has 0
 * ideal      [ideal_count] relevance of every judged document of the query, in any order
 * k          cut-off; 0 is none
 * ideal must hold every positive value of relevance, and relevant count them; else a value may exceed 1.
 *
 * Each returns a value in [0, 1], and 0 if the query has no relevant document. Pure, allocates nothing, cannot
 * fail; thread-safe. trec_eval orders documents by score as float32, descending, and equal scores by document
 * id, descending: whoever wants its numbers orders them so. */

/* Normalized discounted cumulative gain: sum of rel_i / log2(i + 1) over ranks i = 1..k, divided by the same
 * sum over the best possible order (Jaervelin and Kekaelaeinen 2002, with linear gain; trec_eval's ndcg_cut). */
CE_API double ce_metric_ndcg(const int *relevance, size_t count, const int *ideal, size_t ideal_count, size_t k);

/* Reciprocal rank of the first relevant document among the first k. */
CE_API double ce_metric_reciprocal_rank(const int *relevance, size_t count, size_t k);

/* Average precision: mean over the query's relevant documents of the precision at their rank, 0 for those that
 * are not in the list (trec_eval's map, or map_cut with a k). relevant is the number of relevant documents. */
CE_API double ce_metric_average_precision(const int *relevance, size_t count, size_t relevant, size_t k);

/* Share of the query's relevant documents that are among the first k. */
CE_API double ce_metric_recall(const int *relevance, size_t count, size_t relevant, size_t k);

#ifdef __cplusplus
}
#endif
#endif
