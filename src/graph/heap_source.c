// The heap as a source of edges: one reader a thread, whole spans at a time.
#include "graph/source.h"

#include <stdlib.h>

#include "base/error.h"

enum { PIECE_BYTES = 8 << 20 }; // of spans with pointers

struct heap_scanner {
	const struct heap *heap;
	struct heap_reader *reader;
	// The piece being scanned.
	object_id first, end;
	struct edge_sink *sink;
};

static object_id heap_sizes(void *context, object_id first, uint64_t *size)
{
	const struct span *span = heap_span_of(context, first);

	*size = span->elem_size;
	return span->first + span->count - first;
}

static object_id heap_piece_end(void *context, object_id first)
{
	const struct heap *heap = context;
	const struct span *end = heap->spans + heap->span_count;
	uint64_t bytes = 0;
	object_id last = first;

	for (const struct span *span = heap_span_of(heap, first); span < end; span++) {
		if (!span->count)
			continue;
		last = span->first + span->count;
		if (!span->noscan)
			bytes += (uint64_t)span->count * span->elem_size;
		if (bytes >= PIECE_BYTES)
			break;
	}
	return last;
}

static struct error *heap_scanner_create(void *context, void **out)
{
	struct heap_scanner *scanner = calloc(1, sizeof(*scanner));

	if (!scanner)
		return error_no_memory();
	scanner->heap = context;
	struct error *err = heap_reader_create(scanner->heap, &scanner->reader);
	if (err)
		free(scanner);
	else
		*out = scanner;
	return err;
}

static void heap_scanner_destroy(void *context)
{
	struct heap_scanner *scanner = context;

	heap_reader_destroy(scanner->reader);
	free(scanner);
}

static bool heap_scan_group(void *context, const struct word_group *group)
{
	struct heap_scanner *scanner = context;

	// Spans at the edge of a piece hold objects of its neighbours too.
	if (group->object < scanner->first)
		return true;
	if (group->object >= scanner->end)
		return false;
	for (uint64_t bits = group->pointers; bits; bits &= bits - 1) {
		uint64_t word = group->words[__builtin_ctzll(bits)];

		if (!word)
			continue;
		object_id target = heap_find(scanner->heap, word);
		if (target != OBJECT_NONE && !edge_sink_add(scanner->sink, group->object, target))
			return false;
	}
	return true;
}

static void heap_scan(void *context, object_id first, object_id end, struct edge_sink *sink)
{
	struct heap_scanner *scanner = context;
	const struct heap *heap = scanner->heap;
	const struct span *last = heap->spans + heap->span_count;

	scanner->first = first;
	scanner->end = end;
	scanner->sink = sink;
	for (const struct span *span = heap_span_of(heap, first); span < last && !sink->failed;
		span++) {
		if (!span->count)
			continue;
		if (span->first >= end)
			break;
		if (!span->noscan)
			heap_scan_span(scanner->reader, span, NULL, heap_scan_group, scanner);
	}
}

struct error *graph_extract(struct heap *heap, unsigned threads, struct graph **out)
{
	struct edge_source source = {
		.context = heap,
		.object_count = heap->object_count,
		.allocated = heap->allocated,
		.sizes = heap_sizes,
		.piece_end = heap_piece_end,
		.scanner_create = heap_scanner_create,
		.scanner_destroy = heap_scanner_destroy,
		.scan = heap_scan,
	};
	struct error *err = heap_keep_pointer_bits(heap);

	return err ? err : graph_extract_from(&source, threads, out);
}
