// A shortest path from a root to a node of the graph, as plain data: every object on it with its type and with how the
// one before refers to it.
#ifndef OUTPUT_PATH_NODES_H
#define OUTPUT_PATH_NODES_H

#include "graph/analysis.h"
#include "heapwhy/arena.h"

struct path_node {
	const char *kind; // "global", "goroutine", ... for the first one, "object" for the others
	const char *name; // the holder's, or how the node before refers to this one; may be ""
	const char *type; // "" when unknown
	uint64_t address; // 0 for a goroutine
};

struct node_path {
	struct path_node *nodes; // the holder first, `node` last; none when nothing keeps it
	uint32_t count;
	uint32_t skip_at; // before this node ...
	uint64_t skipped; // ... so many are left out
};

// `node` is an object, a holder, or a group of holders, which is a path of its own. At most `most` nodes (2 or more);
// longer paths lose their middle. Strings are clean and go into `arena`. Needs the target (typing_edge).
struct error *node_path_find(struct hw_arena *arena, struct analysis *analysis, node_id node,
	uint32_t most, struct node_path *out);

#endif
