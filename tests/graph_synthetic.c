// See graph_synthetic.h.
#include "graph_synthetic.h"

#include <stdlib.h>

static int edge_compare(const void *a, const void *b)
{
	const struct edge *left = a, *right = b;

	return left->from < right->from ? -1 : left->from > right->from;
}

static object_id synthetic_sizes(void *context, object_id first, uint64_t *size)
{
	const struct synthetic *synthetic = context;
	object_id count = 1;

	*size = synthetic->sizes ? synthetic->sizes[first] : 16;
	if (!synthetic->sizes)
		return synthetic->count - first;
	while (first + count < synthetic->count && synthetic->sizes[first + count] == *size)
		count++;
	return count;
}

static struct error *synthetic_scanner_create(void *context, void **out)
{
	*out = context;
	return NULL;
}

static void synthetic_scanner_destroy(void *scanner)
{
}

static object_id synthetic_piece_end(void *context, object_id first)
{
	const struct synthetic *synthetic = context;

	return synthetic->count - first > synthetic->piece ? first + synthetic->piece
							   : synthetic->count;
}

static void synthetic_scan(void *context, object_id first, object_id end, struct edge_sink *sink)
{
	const struct synthetic *synthetic = context;
	size_t low = 0, high = synthetic->edge_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (synthetic->edges[middle].from < first)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < synthetic->edge_count && synthetic->edges[low].from < end; low++)
		if (!edge_sink_add(sink, synthetic->edges[low].from, synthetic->edges[low].to))
			return;
}

struct error *synthetic_extract(struct synthetic *synthetic, unsigned threads, struct graph **out)
{
	struct edge_source source = {
		.context = synthetic,
		.object_count = synthetic->count,
		.allocated = synthetic->allocated,
		.sizes = synthetic_sizes,
		.piece_end = synthetic_piece_end,
		.scanner_create = synthetic_scanner_create,
		.scanner_destroy = synthetic_scanner_destroy,
		.scan = synthetic_scan,
	};
	bool sorted = true;

	for (size_t i = 1; i < synthetic->edge_count && sorted; i++)
		sorted = synthetic->edges[i - 1].from <= synthetic->edges[i].from;
	if (!sorted)
		qsort(synthetic->edges, synthetic->edge_count, sizeof(*synthetic->edges),
			edge_compare);
	return graph_extract_from(&source, threads, out);
}
