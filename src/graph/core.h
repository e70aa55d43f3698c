// The core of a graph: what is left when every subtree that only one node points into has been
// folded into that node.
//
// Most objects have one predecessor, which is then their dominator; together with everything below
// them they need no algorithm. Only the nodes that have several predecessors, and those above them,
// get a number: the preorder number of a depth-first search from the root, which is 0. Each core
// node carries the bytes and objects folded into it.
#ifndef GRAPH_CORE_H
#define GRAPH_CORE_H

#include "graph/internal.h"

struct core {
	uint32_t count;    // numbers in use
	uint32_t capacity; // of the next four arrays
	node_id *node;     // by number
	uint32_t *parent;  // by number: in the search tree
	uint64_t *bytes;   // by number: its own and those folded into it
	uint32_t *objects;

	uint32_t multi_count;
	uint32_t *number; // by rank among the multi nodes; NUMBER_NONE when it was never entered

	// The edges that are not in the search tree, grouped by target, targets ascending, sources
	// ascending in each group. The first source of a group has ARC_FIRST set; a number that has
	// a group is in `has_arcs`.
	uint64_t arc_count;
	uint32_t *arcs;
	uint64_t *has_arcs;
};

#define ARC_FIRST (UINT32_C(1) << 31)
#define NUMBER_NONE UINT32_MAX

// What a number takes in the first four arrays.
enum { CORE_BYTES = 3 * sizeof(uint32_t) + sizeof(uint64_t) };

struct error *core_build(struct graph *graph, struct core *out);
void core_deinit(struct core *core);

// Gives back what only the search for dominators needs.
void core_forget_arcs(struct core *core);

#endif
