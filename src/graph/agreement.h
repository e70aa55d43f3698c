// Does our set of reachable objects equal the collector's? The sceptic's question, answered object
// for object.
#ifndef GRAPH_AGREEMENT_H
#define GRAPH_AGREEMENT_H

#include "graph/graph.h"

struct goroutine_list;

struct agreement {
	bool comparable;  // the target's state allows the comparison
	uint64_t marked;  // objects that the last collection marked
	uint64_t reached; // of these and of those allocated since: reached by us
	uint64_t missing; // marked by the collector, not reached by us
	uint64_t extra;   // reached by us and allocated before the last collection, which did not
			  // mark it
	uint64_t impossible; // reached by us precisely, but the slot is free
	char why[200]; // why it is not comparable, or what explains a difference; "" otherwise
};

void agreement_compute(const struct heap *heap, struct graph *graph,
	const struct goroutine_list *goroutines, struct agreement *out);

#endif
