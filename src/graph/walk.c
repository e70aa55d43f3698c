// See walk.h. What must not be entered looks as if it had been met already: `closed` tells the two
// apart.
#include "graph/walk.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "graph/marker.h"

struct graph_walk {
	struct marker marker; // bits: met or closed
	uint64_t *closed;     // by node: unreachable, or blocked
	uint64_t *watched;    // by object
	HW_VECTOR(object_id) told;
	bool failed; // a watched object could not be remembered
	uint64_t bytes, count;
};

static void walk_entered(struct marker *marker, node_id node)
{
	struct graph_walk *walk = (struct graph_walk *)marker;
	const struct store *store = &marker->graph->store;

	if (!graph_is_object(marker->graph, node))
		return;
	walk->count++;
	walk->bytes += store_size(store, store_line(store, node), node);
	if (bitmap_get(walk->watched, node))
		walk->failed |= !hw_vector_push(&walk->told, node);
}

struct error *graph_walk_create(struct graph *graph, struct graph_walk **out)
{
	size_t words = graph_bitmap_words(graph);
	struct graph_walk *walk = calloc(1, sizeof(*walk));

	BUG_ON(!graph->reached);
	if (!walk)
		return error_no_memory();
	walk->marker.graph = graph;
	walk->marker.bits = malloc(words * sizeof(*walk->marker.bits));
	walk->closed = malloc(words * sizeof(*walk->closed));
	walk->watched = calloc(words, sizeof(*walk->watched));
	if (!walk->marker.bits || !walk->closed || !walk->watched) {
		graph_walk_destroy(walk);
		return error_no_memory();
	}
	for (size_t i = 0; i < words; i++)
		walk->marker.bits[i] = walk->closed[i] = ~graph->reached[i];
	*out = walk;
	return NULL;
}

void graph_walk_destroy(struct graph_walk *walk)
{
	if (!walk)
		return;
	marker_deinit(&walk->marker);
	free(walk->marker.bits);
	free(walk->closed);
	free(walk->watched);
	hw_vector_deinit(&walk->told);
	free(walk);
}

void graph_walk_block(struct graph_walk *walk, node_id node)
{
	if (bitmap_add(walk->marker.bits, node))
		bitmap_add(walk->closed, node);
}

void graph_walk_unblock(struct graph_walk *walk, node_id node)
{
	uint64_t bit = UINT64_C(1) << (node & 63);

	if (!bitmap_get(walk->closed, node) || !bitmap_get(walk->marker.graph->reached, node))
		return;
	walk->closed[node >> 6] &= ~bit;
	walk->marker.bits[node >> 6] &= ~bit;
}

void graph_walk_watch(struct graph_walk *walk, object_id object)
{
	bitmap_add(walk->watched, object);
}

bool graph_walk_next(struct graph_walk *walk, object_id *out)
{
	if (!walk->told.count)
		return false;
	*out = walk->told.items[--walk->told.count];
	return true;
}

struct error *graph_walk_from(struct graph_walk *walk, node_id node)
{
	if (!marker_add(&walk->marker, node))
		return error_no_memory();
	struct error *err = marker_run(&walk->marker);
	return err || !walk->failed ? err : error_no_memory();
}

struct error *graph_walk_listen(struct graph_walk *walk)
{
	const struct graph *graph = walk->marker.graph;

	BUG_ON(walk->marker.entered);
	for (uint32_t i = 0; (uint64_t)i * LINE_NODES < graph->first_holder; i++) {
		uint64_t met = walk->marker.bits[i] & ~walk->closed[i];

		walk->count += (uint64_t)__builtin_popcountll(met);
		walk->bytes += met ? store_line_bytes(&graph->store, i, met) : 0;
		for (met &= walk->watched[i]; met; met &= met - 1)
			if (!hw_vector_push(
				    &walk->told, i * LINE_NODES + (object_id)__builtin_ctzll(met)))
				return error_no_memory();
	}
	walk->marker.entered = walk_entered;
	return NULL;
}

bool graph_walk_met(const struct graph_walk *walk, node_id node)
{
	return bitmap_get(walk->marker.bits, node) && !bitmap_get(walk->closed, node);
}

uint64_t graph_walk_count(const struct graph_walk *walk)
{
	return walk->count;
}

uint64_t graph_walk_bytes(const struct graph_walk *walk)
{
	return walk->bytes;
}
