// Holders, and what can be reached from them.
//
// Because every reached node is expanded exactly once and its successors are distinct, meeting a
// target that is reached already means that it has several predecessors: marking finds the `multi`
// nodes for the dominators on the way.
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "graph/marker.h"
#include "graph/targets.h"

// What the holders point to, sorted by holder.
struct holder_targets {
	uint64_t *starts; // holder_count + 1 indices into keys
	uint64_t *keys; // object << 1 | conservative: sorted and distinct by object for each holder
	uint64_t *ends; // where each holder's distinct keys end
};

static void holder_targets_deinit(struct holder_targets *targets)
{
	free(targets->starts);
	free(targets->keys);
	free(targets->ends);
}

static int key_compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

static bool holder_edge_counts(const struct graph *graph, const struct holder_edge *edge)
{
	if (edge->holder >= graph->holder_count || edge->object >= graph->object_count)
		return false;
	return edge->precise || !graph->allocated || bitmap_get(graph->allocated, edge->object);
}

static struct error *holder_targets_init(struct holder_targets *targets, const struct graph *graph,
	const struct holder_edge *edges, size_t count)
{
	targets->starts = calloc((size_t)graph->holder_count + 2, sizeof(*targets->starts));
	targets->ends = calloc((size_t)graph->holder_count + 1, sizeof(*targets->ends));
	targets->keys = malloc((count + 1) * sizeof(*targets->keys));
	if (!targets->starts || !targets->ends || !targets->keys)
		return error_no_memory();
	// Counting sort by holder: starts[] is shifted by two while counting, by one after filling.
	for (size_t i = 0; i < count; i++)
		if (holder_edge_counts(graph, &edges[i]))
			targets->starts[edges[i].holder + 2 - 1]++;
	for (uint32_t h = 1; h <= graph->holder_count; h++)
		targets->starts[h] += targets->starts[h - 1];
	for (uint32_t h = 0; h < graph->holder_count; h++)
		targets->ends[h] = targets->starts[h];
	for (size_t i = 0; i < count; i++)
		if (holder_edge_counts(graph, &edges[i]))
			targets->keys[targets->ends[edges[i].holder]++] =
				(uint64_t)edges[i].object << 1 | !edges[i].precise;
	for (uint32_t h = 0; h < graph->holder_count; h++) {
		uint64_t *keys = targets->keys + targets->starts[h];
		size_t all = targets->ends[h] - targets->starts[h], kept = 0;

		qsort(keys, all, sizeof(*keys), key_compare);
		for (size_t i = 0; i < all; i++)
			if (!kept || keys[i] >> 1 != keys[kept - 1] >> 1)
				keys[kept++] = keys[i];
		targets->ends[h] = targets->starts[h] + kept;
	}
	return NULL;
}

// Writes the edges of the holders and of the root.
static struct error *holders_store(struct graph *graph, const struct holder_targets *targets)
{
	struct line_writer writer;
	struct target_set set;
	bool ok = true;

	line_writer_init(&writer, &graph->store);
	target_set_init(&set, graph_node_count(graph));
	for (uint32_t h = 0; h < graph->holder_count && ok; h++) {
		node_id node = graph->first_holder + h;

		for (uint64_t i = targets->starts[h]; i < targets->ends[h]; i++)
			target_set_add(&set, (node_id)(targets->keys[i] >> 1));
		target_set_finish(&set, node);
		ok = !set.failed && (!set.count || line_writer_add(&writer, node, &set));
		target_set_clear(&set);
		// Holders are asked for by name: never folded into the root.
		store_line(&graph->store, node)->multi |= node_bit(node);
	}
	for (uint32_t h = 0; h < graph->holder_count && ok; h++)
		target_set_add(&set, graph->first_holder + h);
	target_set_finish(&set, graph->root);
	ok = ok && !set.failed && (!set.count || line_writer_add(&writer, graph->root, &set)) &&
	     line_writer_finish(&writer);
	target_set_deinit(&set);
	line_writer_deinit(&writer);
	return ok ? NULL : error_no_memory();
}

// Marks from one kind of holder edges.
static struct error *holders_mark(
	struct marker *marker, const struct holder_targets *targets, bool conservative)
{
	struct graph *graph = marker->graph;

	for (uint32_t h = 0; h < graph->holder_count; h++) {
		for (uint64_t i = targets->starts[h]; i < targets->ends[h]; i++) {
			if ((targets->keys[i] & 1) != conservative)
				continue;
			if (!marker_add(marker, (node_id)(targets->keys[i] >> 1)))
				return error_no_memory();
		}
	}
	return marker_run(marker);
}

void graph_rank_reached(struct graph *graph)
{
	struct store *store = &graph->store;
	uint64_t rank = 0;

	for (uint32_t i = 0; i < store->line_count; i++) {
		store->lines[i].reached_rank = (uint32_t)rank;
		rank += (uint64_t)__builtin_popcountll(graph->reached[i]);
	}
}

static void reached_count(struct graph *graph)
{
	for (uint32_t i = 0; (uint64_t)i * LINE_NODES < graph->first_holder; i++) {
		uint64_t bits = graph->reached[i];

		graph->reached_count += (uint64_t)__builtin_popcountll(bits);
		graph->reached_bytes += store_line_bytes(&graph->store, i, bits);
	}
}

static struct error *graph_mark(struct graph *graph, const struct holder_targets *targets)
{
	size_t bytes = graph_bitmap_words(graph) * sizeof(*graph->reached);

	graph->reached = calloc(1, bytes);
	graph->precisely = malloc(bytes);
	if (!graph->reached || !graph->precisely)
		return error_no_memory();
	_cleanup_(marker_deinit) struct marker marker = {
		.graph = graph, .bits = graph->reached, .count_predecessors = true};
	struct error *err = holders_mark(&marker, targets, false);
	if (err)
		return err;
	memcpy(graph->precisely, graph->reached, bytes);
	// A word that only looks like a pointer keeps nothing that is free.
	marker.allocated = graph->allocated;
	err = holders_mark(&marker, targets, true);
	if (err)
		return err;
	graph->edges_followed = marker.edges;
	for (uint32_t h = 0; h < graph->holder_count; h++)
		bitmap_add(graph->reached, graph->first_holder + h);
	bitmap_add(graph->reached, graph->root);
	reached_count(graph);
	graph_rank_reached(graph);
	return NULL;
}

struct error *graph_connect(
	struct graph *graph, uint32_t holder_count, const struct holder_edge *edges, size_t count)
{
	_cleanup_(holder_targets_deinit) struct holder_targets targets = {0};
	uint64_t first = ((uint64_t)graph->object_count + LINE_NODES - 1) / LINE_NODES * LINE_NODES;

	BUG_ON(graph->reached);
	if (first + holder_count >= NODE_NONE)
		return error_create(ERROR_TARGET, "the heap has too many objects and holders");
	graph->first_holder = (node_id)first;
	graph->holder_count = holder_count;
	graph->root = (node_id)(first + holder_count);
	if (!store_resize(&graph->store, graph_node_count(graph)))
		return error_no_memory();
	struct error *err = holder_targets_init(&targets, graph, edges, count);
	if (!err)
		err = holders_store(graph, &targets);
	if (!err)
		err = graph_mark(graph, &targets);
	return err;
}

struct error *graph_retained_set(
	struct graph *graph, const uint64_t *set, uint64_t *bytes, uint64_t *count)
{
	size_t words = graph_bitmap_words(graph);
	_cleanup_free_ uint64_t *bits = calloc(words, sizeof(*bits));
	_cleanup_(marker_deinit) struct marker marker = {.graph = graph, .bits = bits};
	size_t object_words = ((size_t)graph->object_count + 63) / 64;

	if (!bits)
		return error_no_memory();
	// What is marked already is not entered: the walk goes round the set.
	memcpy(bits, set, object_words * sizeof(*bits));
	if (!marker_add(&marker, graph->root))
		return error_no_memory();
	struct error *err = marker_run(&marker);
	if (err)
		return err;
	uint64_t lost_bytes = 0, lost_count = 0;
	for (size_t i = 0; i < object_words; i++) {
		uint64_t lost = graph->reached[i] & (~bits[i] | set[i]);

		lost_count += (uint64_t)__builtin_popcountll(lost);
		lost_bytes += lost ? store_line_bytes(&graph->store, (uint32_t)i, lost) : 0;
	}
	*bytes = lost_bytes;
	*count = lost_count;
	return NULL;
}
