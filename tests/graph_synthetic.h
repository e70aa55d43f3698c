// Graphs from lists of edges, for tests.
#ifndef TESTS_GRAPH_SYNTHETIC_H
#define TESTS_GRAPH_SYNTHETIC_H

#include "graph/source.h"

struct edge {
	node_id from, to;
};

// A heap that is only a list of edges. Object i has size sizes[i], or 16 when there are no sizes.
struct synthetic {
	object_id count;
	const uint64_t *sizes;
	const uint64_t *allocated;
	struct edge *edges; // will be sorted by `from`
	size_t edge_count;
	object_id piece; // objects in a piece of work
};

// Must outlive graph_connect.
struct error *synthetic_extract(struct synthetic *synthetic, unsigned threads, struct graph **out);

#endif
