// The object graph as a whole. See graph.h.
#include <stdlib.h>

#include "base/error.h"
#include "graph/internal.h"
#include "base/pages.h"

void graph_destroy(struct graph *graph)
{
	if (!graph)
		return;
	size_t count = graph->core_count;
	pages_free(graph->dominator, count * sizeof(*graph->dominator));
	pages_free(graph->retained_bytes, count * sizeof(*graph->retained_bytes));
	pages_free(graph->retained_objects, count * sizeof(*graph->retained_objects));
	pages_free(graph->first_child, count * sizeof(*graph->first_child));
	pages_free(graph->sibling, count * sizeof(*graph->sibling));
	pages_free(graph->parents, graph->parent_bytes);
	free(graph->reached);
	free(graph->precisely);
	store_deinit(&graph->store);
	free(graph);
}

const uint64_t *graph_reached(const struct graph *graph)
{
	return graph->reached;
}

const uint64_t *graph_reached_precisely(const struct graph *graph)
{
	return graph->precisely;
}

uint64_t graph_reached_count(const struct graph *graph)
{
	return graph->reached_count;
}

uint64_t graph_reached_bytes(const struct graph *graph)
{
	return graph->reached_bytes;
}

node_id graph_holder_node(const struct graph *graph, uint32_t holder)
{
	return graph->first_holder + holder;
}

node_id graph_root_node(const struct graph *graph)
{
	return graph->root;
}

bool graph_successors(const struct graph *graph, node_id node, node_visit visit, void *context)
{
	if (node >= (uint64_t)graph->store.line_count * LINE_NODES)
		return true;
	for (struct edge_cursor cursor = edges_of(&graph->store, node); cursor.left;)
		if (!visit(context, edge_next(&cursor)))
			return false;
	return true;
}

void graph_cut(struct graph *graph, object_id object)
{
	BUG_ON(graph->reached || object >= graph->object_count);
	if (store_line(&graph->store, object)->inner & node_bit(object))
		store_forget(&graph->store, object);
}

uint64_t graph_edge_count(const struct graph *graph)
{
	return graph->store.edge_count;
}
