// Marking what can be reached, and what that costs: a walk over the edge store, for reach.c and walk.c.
#ifndef GRAPH_MARKER_H
#define GRAPH_MARKER_H

#include "graph/internal.h"

struct marker {
	struct graph *graph;
	uint64_t *bits;            // by node: reached, or not to be entered
	const uint64_t *allocated; // NULL, or: unallocated targets are not followed
	bool count_predecessors;   // fill in `multi`
	void (*entered)(struct marker *marker, node_id node); // NULL, or: told of each node once
	HW_VECTOR(node_id) stack;
	uint64_t edges;
};

void marker_deinit(struct marker *marker);

// Marks `node`, which marker_run() then follows. False: out of memory.
bool marker_add(struct marker *marker, node_id node);

// Follows everything that was added, and what that leads to.
struct error *marker_run(struct marker *marker);

#endif
