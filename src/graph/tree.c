// The dominator tree from above.
//
// The dominators tell a node's parent. Here are lists of children for the core; the children of a
// node that are folded into it are among its successors.
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "graph/internal.h"
#include "base/pages.h"

struct error *graph_prepare_tree(struct graph *graph)
{
	uint32_t rank = graph->core_count;

	BUG_ON(!graph->core_count);
	if (graph->first_child)
		return NULL;
	size_t bytes = graph->core_count * sizeof(node_id);
	node_id *first = pages_alloc(graph->spill_directory, bytes);
	node_id *sibling = pages_alloc(graph->spill_directory, bytes);
	if (!first || !sibling) {
		pages_free(first, bytes);
		pages_free(sibling, bytes);
		return pages_error(graph->spill_directory);
	}
	memset(first, 0xff, bytes);
	// From the last to the first, since each goes to the front: so lists ascend.
	for (uint32_t i = graph->store.line_count; i-- > 0;) {
		uint64_t bits = graph->store.lines[i].visited;

		while (bits) {
			unsigned bit = 63 - (unsigned)__builtin_clzll(bits);
			node_id parent = graph->dominator[--rank];

			bits ^= UINT64_C(1) << bit;
			if (parent == NODE_NONE)
				continue;
			uint32_t parent_rank = graph_core_rank(graph, parent);
			sibling[rank] = first[parent_rank];
			first[parent_rank] = i * LINE_NODES + bit;
		}
	}
	graph->first_child = first;
	graph->sibling = sibling;
	return NULL;
}

// Only nodes with several predecessors can be dominated by the root, and those are core nodes.
bool graph_shared(const struct graph *graph, node_visit visit, void *context)
{
	BUG_ON(!graph->first_child);
	node_id child = graph->first_child[graph_core_rank(graph, graph->root)];

	for (; child != NODE_NONE; child = graph->sibling[graph_core_rank(graph, child)])
		if (graph_is_object(graph, child) && !visit(context, child))
			return false;
	return true;
}

bool graph_dominated(const struct graph *graph, node_id node, node_visit visit, void *context)
{
	BUG_ON(!graph->first_child);
	if (node > graph->root || !bitmap_get(graph->reached, node))
		return true;
	for (struct edge_cursor cursor = edges_of(&graph->store, node); cursor.left;) {
		node_id target = edge_next(&cursor);
		const struct node_line *line = store_line(&graph->store, target);

		// The core's members have their own places in the tree; what is blocked is a free
		// slot.
		if (!((line->visited | line->multi) & node_bit(target)) && !visit(context, target))
			return false;
	}
	if (!graph_is_core(graph, node))
		return true;
	node_id child = graph->first_child[graph_core_rank(graph, node)];
	for (; child != NODE_NONE; child = graph->sibling[graph_core_rank(graph, child)])
		if (!visit(context, child))
			return false;
	return true;
}
