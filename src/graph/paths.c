// Shortest paths from the root, by breadth-first search.
//
// One parent for each reached node, 4 bytes, found when the first path is asked for. For a node
// with a single predecessor the parent is also its dominator.
#include <stdlib.h>

#include "base/cancel.h"
#include "base/cleanup.h"
#include "graph/internal.h"
#include "base/pages.h"

enum { AHEAD = 8 };

// The nodes at one distance from the root, and those one step further.
struct frontier {
	HW_VECTOR(node_id) now;
	HW_VECTOR(node_id) next;
};

static void frontier_deinit(struct frontier *frontier)
{
	hw_vector_deinit(&frontier->now);
	hw_vector_deinit(&frontier->next);
}

static void frontier_advance(struct frontier *frontier)
{
	__typeof__(frontier->now) done = frontier->now;

	frontier->now.items = frontier->next.items;
	frontier->now.count = frontier->next.count;
	frontier->now.capacity = frontier->next.capacity;
	frontier->next.items = done.items;
	frontier->next.count = 0;
	frontier->next.capacity = done.capacity;
}

// Gives the successors of `node` their parent. False: out of memory.
static bool parents_expand(const struct graph *graph, node_id node, uint32_t *parents,
	uint64_t *found, struct frontier *frontier)
{
	const struct store *store = &graph->store;
	struct edge_cursor cursor = edges_of(store, node);
	node_id targets[EDGES_AT_ONCE];

	while (cursor.left) {
		unsigned count = edges_take(store, &cursor, targets);

		if (!hw_vector_reserve(&frontier->next, count))
			return false;
		for (unsigned i = 0; i < count; i++) {
			node_id target = targets[i];

			// What is not reached looks as if it had been found already.
			if (!bitmap_add(found, target))
				continue;
			parents[graph_reached_rank(graph, target)] = node;
			if (store_line(store, target)->inner & node_bit(target))
				frontier->next.items[frontier->next.count++] = target;
		}
	}
	return true;
}

static struct error *parents_find(const struct graph *graph, uint32_t *parents)
{
	const struct store *store = &graph->store;
	size_t words = graph_bitmap_words(graph);
	_cleanup_free_ uint64_t *found = malloc(words * sizeof(*found));
	_cleanup_(frontier_deinit) struct frontier frontier = {0};

	if (!found || !hw_vector_push(&frontier.now, graph->root))
		return error_no_memory();
	for (size_t i = 0; i < words; i++)
		found[i] = ~graph->reached[i];
	bitmap_add(found, graph->root);
	parents[graph_reached_rank(graph, graph->root)] = NODE_NONE;
	for (; frontier.now.count; frontier_advance(&frontier)) {
		for (size_t i = 0; i < frontier.now.count; i++) {
			if (i + 3 * AHEAD < frontier.now.count)
				__builtin_prefetch(
					store_line(store, frontier.now.items[i + 3 * AHEAD]));
			if (i + 2 * AHEAD < frontier.now.count)
				edges_prefetch(store, frontier.now.items[i + 2 * AHEAD]);
			if (i + AHEAD < frontier.now.count)
				edges_prefetch_more(store, frontier.now.items[i + AHEAD]);
			if (!parents_expand(
				    graph, frontier.now.items[i], parents, found, &frontier))
				return error_no_memory();
			if ((i & 0xfffff) == 0 && cancel_requested())
				return error_cancelled();
		}
	}
	return NULL;
}

struct error *graph_prepare_paths(struct graph *graph)
{
	BUG_ON(!graph->reached);
	if (graph->parents)
		return NULL;
	size_t bytes = (graph->reached_count + graph->holder_count + graph->group_count + 1) *
		       sizeof(uint32_t);
	uint32_t *parents = pages_alloc(graph->spill_directory, bytes);
	if (!parents)
		return pages_error(graph->spill_directory);
	struct error *err = parents_find(graph, parents);
	if (err) {
		pages_free(parents, bytes);
		return err;
	}
	graph->parents = parents;
	graph->parent_bytes = bytes;
	return NULL;
}

node_id graph_parent(const struct graph *graph, node_id node)
{
	if (node > graph->root || !bitmap_get(graph->reached, node))
		return NODE_NONE;
	return graph->parents[graph_reached_rank(graph, node)];
}

size_t graph_path(struct graph *graph, node_id node, node_id *nodes, size_t max, size_t *skipped)
{
	_cleanup_error_ struct error *err = graph_prepare_paths(graph);
	size_t length = 0, at;

	if (err)
		return 0;
	for (node_id up = node; up != graph->root && up != NODE_NONE && !graph_is_group(graph, up);
		up = graph_parent(graph, up))
		length++;
	if (!length || !max || graph_parent(graph, node) == NODE_NONE)
		return 0;
	// The middle is what is left out: the holder's end and the node's end both matter.
	size_t tail = length <= max ? length : max - max / 2, head = length <= max ? 0 : max / 2;
	for (at = length; at > 0; at--, node = graph_parent(graph, node)) {
		if (length - at < tail)
			nodes[head + tail - 1 - (length - at)] = node;
		else if (at <= head)
			nodes[at - 1] = node;
	}
	*skipped = length - head - tail;
	return head + tail;
}
