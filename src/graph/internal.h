// What the files of graph/ share. Nobody else includes this.
#ifndef GRAPH_INTERNAL_H
#define GRAPH_INTERNAL_H

#include "graph/graph.h"
#include "graph/store.h"

struct graph {
	struct store store;
	object_id object_count;
	uint32_t holder_count;
	node_id first_holder; // a multiple of LINE_NODES, so that holders have lines of their own
	uint32_t group_count; // 0: holders hang below the root
	node_id first_group;  // in lines of their own, too
	node_id root;         // the last node
	const uint64_t *allocated; // the source's; NULL: all objects are

	uint64_t *reached;                     // by node
	uint64_t *precisely;                   // by node; from precise roots alone
	uint64_t reached_count, reached_bytes; // objects
	uint64_t edges_followed;               // edges that leave reached nodes

	// The dominator tree of the core, by rank among the core nodes (graph_core_rank).
	uint32_t core_count; // 0 before graph_dominate
	node_id *dominator;  // NODE_NONE for the root
	uint64_t *retained_bytes;
	uint32_t *retained_objects;

	node_id *first_child, *sibling; // the tree from above, by rank; NULL until needed (tree.c)

	uint32_t *parents; // on shortest paths, by rank among the reached nodes; NULL until needed
			   // (paths.c)
	size_t parent_bytes;

	const char *spill_directory; // big arrays go to a file there; NULL: to memory
	uint64_t memory_limit;
};

static inline bool bitmap_get(const uint64_t *bits, node_id node)
{
	return bits[node >> 6] >> (node & 63) & 1;
}

// Sets the bit; false when it was set already.
static inline bool bitmap_add(uint64_t *bits, node_id node)
{
	uint64_t *word = &bits[node >> 6], bit = UINT64_C(1) << (node & 63);

	if (*word & bit)
		return false;
	*word |= bit;
	return true;
}

static inline uint64_t graph_node_count(const struct graph *graph)
{
	return (uint64_t)graph->root + 1;
}

static inline size_t graph_bitmap_words(const struct graph *graph)
{
	return graph->store.line_count;
}

static inline bool graph_is_object(const struct graph *graph, node_id node)
{
	return node < graph->object_count;
}

static inline bool graph_is_group(const struct graph *graph, node_id node)
{
	return graph->group_count && node >= graph->first_group && node < graph->root;
}

// Lays out node_line.reached_rank.
void graph_rank_reached(struct graph *graph);

// In the core: with an entry in the dominator tree. Only after graph_dominate, like its rank.
static inline bool graph_is_core(const struct graph *graph, node_id node)
{
	return store_line(&graph->store, node)->visited & node_bit(node);
}

// How many core nodes there are before a core node.
static inline uint32_t graph_core_rank(const struct graph *graph, node_id node)
{
	const struct node_line *line = store_line(&graph->store, node);

	return line->multi_rank + rank_in_line(line->visited, node);
}

static inline size_t graph_reached_rank(const struct graph *graph, node_id node)
{
	return store_line(&graph->store, node)->reached_rank +
	       rank_in_line(graph->reached[node >> LINE_SHIFT], node);
}

#endif
