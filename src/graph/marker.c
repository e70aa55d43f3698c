// Marking is a walk over the edge store whose cost is waiting for memory: a node's line, then its
// edges, then the bitmap words of its targets are each fetched ahead of their use, by passing nodes
// through a short queue between the stack and the work.
#include "graph/marker.h"

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/error.h"

// Nodes between a prefetch and the use of what it fetched; the edges themselves are fetched half-way.
enum { AHEAD = 16, HALF = AHEAD / 2 };

void marker_deinit(struct marker *marker)
{
	hw_vector_deinit(&marker->stack);
}

// A target that will never be reached must not be entered by the depth-first search either.
static void node_block(struct graph *graph, node_id node)
{
	struct node_line *line = store_line(&graph->store, node);

	line->multi |= node_bit(node);
	line->visited |= node_bit(node);
}

// There is room on the stack.
static inline void marker_visit(struct marker *marker, node_id target)
{
	struct graph *graph = marker->graph;

	if (__builtin_expect(marker->allocated && graph_is_object(graph, target) &&
				     !bitmap_get(marker->allocated, target) &&
				     !bitmap_get(marker->bits, target),
		    0)) {
		node_block(graph, target);
		return;
	}
	if (bitmap_add(marker->bits, target)) {
		__builtin_prefetch(store_line(&graph->store, target));
		marker->stack.items[marker->stack.count++] = target;
	} else if (marker->count_predecessors) {
		store_line(&graph->store, target)->multi |= node_bit(target);
	}
}

bool marker_add(struct marker *marker, node_id node)
{
	if (!hw_vector_reserve(&marker->stack, 1))
		return false;
	marker_visit(marker, node);
	return true;
}

static bool marker_expand(struct marker *marker, node_id node)
{
	struct edge_cursor cursor = edges_of(&marker->graph->store, node);
	node_id targets[64];

	marker->edges += cursor.left;
	while (cursor.left) {
		unsigned count = 0;

		for (; cursor.left && count < ARRAY_COUNT(targets); count++) {
			targets[count] = edge_next(&cursor);
			__builtin_prefetch(&marker->bits[targets[count] >> 6]);
		}
		if (!hw_vector_reserve(&marker->stack, count))
			return false;
		for (unsigned i = 0; i < count; i++)
			marker_visit(marker, targets[i]);
	}
	return true;
}

struct error *marker_run(struct marker *marker)
{
	const struct store *store = &marker->graph->store;
	node_id queue[AHEAD];
	unsigned head = 0, queued = 0;
	uint64_t steps = 0;

	while (marker->stack.count || queued) {
		if ((++steps & 0xfffff) == 0 && cancel_requested())
			return error_cancelled();
		// Leaves, half of a typical heap, end here.
		while (queued < AHEAD && marker->stack.count) {
			node_id node = marker->stack.items[--marker->stack.count];
			const struct node_line *line = store_line(store, node);

			if (marker->entered)
				marker->entered(marker, node);
			if (!(line->inner & node_bit(node)))
				continue;
			edges_prefetch(store, node);
			queue[(head + queued++) % AHEAD] = node;
			if (queued > HALF)
				edges_prefetch_more(
					store, queue[(head + queued - 1 - HALF) % AHEAD]);
		}
		if (!queued)
			break;
		node_id node = queue[head++ % AHEAD];
		queued--;
		if (!marker_expand(marker, node))
			return error_no_memory();
	}
	return NULL;
}
