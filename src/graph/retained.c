// Asking the dominator tree.
//
// Core nodes have their figures in arrays. A folded node has a single predecessor, and so has
// everything below it that it retains: its subtree is walked when it is asked for.
#include <stdlib.h>

#include "base/error.h"
#include "graph/internal.h"

static bool graph_is_reached(const struct graph *graph, node_id node)
{
	return node <= graph->root && bitmap_get(graph->reached, node);
}

node_id graph_dominator(struct graph *graph, node_id node)
{
	BUG_ON(!graph->core_count);
	if (!graph_is_reached(graph, node) || node == graph->root)
		return NODE_NONE;
	if (graph_is_core(graph, node))
		return graph->dominator[graph_core_rank(graph, node)];
	_cleanup_error_ struct error *err = graph_prepare_paths(graph);
	return err ? NODE_NONE : graph_parent(graph, node);
}

node_id graph_keeper(struct graph *graph, node_id node)
{
	node_id keeper = NODE_NONE;

	if (!graph_is_reached(graph, node))
		return NODE_NONE;
	for (; node != NODE_NONE && node != graph->root; node = graph_dominator(graph, node))
		keeper = node;
	return keeper;
}

struct total {
	uint64_t bytes, objects;
};

// Sums up the subtree of a folded node: whatever can be reached from it, all of it folded too. Stops at `enough` bytes.
static struct total folded_total(const struct graph *graph, node_id top, uint64_t enough)
{
	const struct store *store = &graph->store;
	HW_VECTOR(node_id) pending = HW_VECTOR_INIT;
	struct total total = {store_size(store, store_line(store, top), top), 1};
	struct edge_cursor cursor = edges_of(store, top);
	node_id targets[EDGES_AT_ONCE];

	for (bool failed = false; total.bytes < enough && !failed;) {
		unsigned count = edges_take(store, &cursor, targets);

		if (!count && !pending.count)
			break;
		if (!count) {
			cursor = edges_of(store, pending.items[--pending.count]);
			continue;
		}
		for (unsigned i = 0; i < count; i++) {
			const struct node_line *line = store_line(store, targets[i]);

			total.bytes += store_size(store, line, targets[i]);
			total.objects++;
			if (line->inner & node_bit(targets[i]))
				failed |= !hw_vector_push(&pending, targets[i]);
		}
		if (failed)
			total = (struct total){0};
	}
	hw_vector_deinit(&pending);
	return total;
}

static struct total node_total(const struct graph *graph, node_id node, uint64_t enough)
{
	BUG_ON(!graph->core_count);
	if (!graph_is_reached(graph, node))
		return (struct total){0};
	if (!graph_is_core(graph, node)) {
		const struct node_line *line = store_line(&graph->store, node);
		if (!(line->inner & node_bit(node)))
			return (struct total){store_size(&graph->store, line, node), 1};
		return folded_total(graph, node, enough);
	}
	uint32_t rank = graph_core_rank(graph, node);
	return (struct total){graph->retained_bytes[rank], graph->retained_objects[rank]};
}

uint64_t graph_retained(struct graph *graph, node_id node)
{
	return node_total(graph, node, UINT64_MAX).bytes;
}

uint64_t graph_retained_count(struct graph *graph, node_id node)
{
	return node_total(graph, node, UINT64_MAX).objects;
}

bool graph_retains(struct graph *graph, node_id node, uint64_t bytes)
{
	return node_total(graph, node, bytes).bytes >= bytes;
}
