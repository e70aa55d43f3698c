// Where a graph's nodes and edges come from: a heap (heap_source.c), or a list of edges in a test.
#ifndef GRAPH_SOURCE_H
#define GRAPH_SOURCE_H

#include "graph/graph.h"
#include "graph/targets.h"

struct edge_sink;

struct edge_source {
	void *context;
	object_id object_count;
	const uint64_t *allocated; // a bit an object; NULL: all are. Must outlive graph_connect.

	// How many objects from `first` on have the same size; and that size.
	object_id (*sizes)(void *context, object_id first, uint64_t *size);

	// One scanner a thread.
	struct error *(*scanner_create)(void *context, void **out);
	void (*scanner_destroy)(void *scanner);

	// A sensible end for a piece of work that begins at `first`: one thread scans [first, end).
	object_id (*piece_end)(void *context, object_id first);

	// Hands every pointer of the allocated objects in [first, end) to edge_sink_add(), objects
	// ascending. Stops when that returns false.
	void (*scan)(void *scanner, object_id first, object_id end, struct edge_sink *sink);
};

// Collects the targets of one object after the other.
struct line_writer;
struct edge_sink {
	struct target_set targets;
	struct line_writer *writer;
	object_id from;
	bool failed; // out of memory
};

bool edge_sink_end_object(struct edge_sink *sink);

// `from` points to `to`. False: stop scanning.
static inline bool edge_sink_add(struct edge_sink *sink, object_id from, object_id to)
{
	if (from != sink->from) {
		if (!edge_sink_end_object(sink))
			return false;
		sink->from = from;
	}
	target_set_add(&sink->targets, to);
	return true;
}

struct error *graph_extract_from(
	const struct edge_source *source, unsigned threads, struct graph **out);

#endif
