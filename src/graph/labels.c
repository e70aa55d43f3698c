// Retained sizes by label: one walk over the dominator tree, whatever the labels are.
//
// The walk goes down core nodes by lists of children (tree.c), and down folded ones by their edges.
// A label is open while the walk is below an object that has it; objects found there add nothing to
// it, so at most one object a label is remembered at a time, and a list of millions of equal nodes
// takes no memory. How much lies below an object is the difference of a running total. Leaves, half
// of everything, are dealt with when they are met.
#include <stdlib.h>

#include "base/cancel.h"
#include "base/cleanup.h"
#include "graph/internal.h"
#include "base/pages.h"

// A label that an ancestor of the node being walked has: until the pending stack is this short
// again.
struct open_label {
	node_id node; // the one that has it
	uint32_t label;
	size_t height;
	uint64_t before; // bytes walked before it
};

struct label_walk {
	const struct graph *graph;
	graph_label_of *label_of;
	void *context;
	uint32_t label_count;
	graph_retained_visit *found; // an object that has no other one with its label above it
	void *found_context;
	uint64_t walked; // bytes of the objects walked so far
	bool *is_open;   // by label
	HW_VECTOR(struct open_label) open;
	HW_VECTOR(node_id) pending;
};

// An object without anything below it needs no stack: its label is open already, or open for
// nothing but itself.
static void label_leaf(struct label_walk *walk, const struct node_line *line, node_id node)
{
	uint32_t label = walk->label_of(walk->context, node);
	uint64_t size = store_size(&walk->graph->store, line, node);

	if (label < walk->label_count && !walk->is_open[label])
		walk->found(walk->found_context, node, label, size);
	walk->walked += size;
}

// Remembers how much had been walked: the difference when it is closed is what lies below.
static bool label_open(struct label_walk *walk, node_id node)
{
	uint32_t label = walk->label_of(walk->context, node);

	if (label >= walk->label_count || walk->is_open[label])
		return true;
	walk->is_open[label] = true;
	return hw_vector_push(
		&walk->open, ((struct open_label){node, label, walk->pending.count, walk->walked}));
}

static void labels_close(struct label_walk *walk)
{
	while (walk->open.count &&
		walk->open.items[walk->open.count - 1].height == walk->pending.count) {
		const struct open_label *done = &walk->open.items[--walk->open.count];

		walk->is_open[done->label] = false;
		walk->found(
			walk->found_context, done->node, done->label, walk->walked - done->before);
	}
}

// Something that the node being walked dominates. The pending stack has room.
static inline void label_child(struct label_walk *walk, const struct node_line *line, node_id child)
{
	if ((line->inner & node_bit(child)) || !graph_is_object(walk->graph, child)) {
		edges_prefetch(&walk->graph->store, child);
		walk->pending.items[walk->pending.count++] = child;
	} else {
		label_leaf(walk, line, child);
	}
}

static bool label_push_folded(struct label_walk *walk, node_id node)
{
	const struct graph *graph = walk->graph;
	const struct store *store = &graph->store;
	struct edge_cursor cursor = edges_of(store, node);
	node_id targets[EDGES_AT_ONCE];

	while (cursor.left) {
		unsigned count = edges_take(store, &cursor, targets);

		if (!hw_vector_reserve(&walk->pending, count))
			return false;
		for (unsigned i = 0; i < count; i++) {
			const struct node_line *line = store_line(store, targets[i]);

			// The core's members have their own places in the tree; what is blocked is
			// a free slot.
			if (!((line->visited | line->multi) & node_bit(targets[i])))
				label_child(walk, line, targets[i]);
		}
	}
	return true;
}

static bool label_push_core(struct label_walk *walk, uint32_t rank)
{
	const struct graph *graph = walk->graph;
	node_id child = graph->first_child[rank];

	while (child != NODE_NONE) {
		if (!hw_vector_reserve(&walk->pending, 1))
			return false;
		label_child(walk, store_line(&graph->store, child), child);
		child = graph->sibling[graph_core_rank(graph, child)];
	}
	return true;
}

static struct error *label_walk_run(struct label_walk *walk)
{
	const struct store *store = &walk->graph->store;
	uint64_t steps = 0;

	if (!hw_vector_push(&walk->pending, walk->graph->root))
		return error_no_memory();
	while (walk->pending.count) {
		node_id node = walk->pending.items[--walk->pending.count];

		if (walk->pending.count)
			edges_prefetch_more(store, walk->pending.items[walk->pending.count - 1]);
		if ((++steps & 0xfffff) == 0 && cancel_requested())
			return error_cancelled();
		if (graph_is_object(walk->graph, node)) {
			if (!label_open(walk, node))
				return error_no_memory();
			walk->walked += store_size(store, store_line(store, node), node);
		}
		if (!label_push_folded(walk, node) ||
			(graph_is_core(walk->graph, node) &&
				!label_push_core(walk, graph_core_rank(walk->graph, node))))
			return error_no_memory();
		labels_close(walk);
	}
	return NULL;
}

struct error *graph_outermost(struct graph *graph, graph_label_of *label_of, void *context,
	uint32_t label_count, graph_retained_visit *found, void *found_context)
{
	struct label_walk walk = {
		.graph = graph,
		.label_of = label_of,
		.context = context,
		.label_count = label_count,
		.found = found,
		.found_context = found_context,
	};

	BUG_ON(!graph->core_count || !graph->first_child);
	walk.is_open = calloc(label_count ? label_count : 1, sizeof(*walk.is_open));
	struct error *err = walk.is_open ? label_walk_run(&walk) : error_no_memory();
	free(walk.is_open);
	hw_vector_deinit(&walk.open);
	hw_vector_deinit(&walk.pending);
	return err;
}

static void label_sum(void *context, node_id node, uint32_t label, uint64_t retained)
{
	uint64_t *bytes = context;

	bytes[label] += retained;
}

struct error *graph_retained_by_label(struct graph *graph, graph_label_of *label_of, void *context,
	uint32_t label_count, uint64_t *bytes)
{
	memset(bytes, 0, label_count * sizeof(*bytes));
	return graph_outermost(graph, label_of, context, label_count, label_sum, bytes);
}
