// Asking the dominator tree.
//
// Core nodes have their figures in arrays. A folded node has a single predecessor, and so has
// everything below it that it retains: its subtree is walked when it is asked for.
#include <stdlib.h>

#include "base/cancel.h"
#include "base/cleanup.h"
#include "graph/internal.h"
#include "graph/pages.h"

enum { BATCH = 48 };

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

bool graph_shared(const struct graph *graph, node_visit visit, void *context)
{
	BUG_ON(!graph->core_count);
	// Only nodes with several predecessors can be dominated by the root, and those are core nodes.
	for (uint32_t i = 0; i < graph->store.line_count; i++) {
		uint64_t bits =
			store_line(&graph->store, i * LINE_NODES)->visited & graph->reached[i];
		for (; bits; bits &= bits - 1) {
			node_id node = i * LINE_NODES + (node_id)__builtin_ctzll(bits);
			if (graph_is_object(graph, node) &&
				graph->dominator[graph_core_rank(graph, node)] == graph->root &&
				!visit(context, node))
				return false;
		}
	}
	return true;
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

// Sums up the subtree of a folded node: whatever can be reached from it, all of it folded too.
static struct total folded_total(const struct graph *graph, node_id top)
{
	const struct store *store = &graph->store;
	HW_VECTOR(node_id) pending = HW_VECTOR_INIT;
	struct total total = {0};

	if (!hw_vector_push(&pending, top))
		return total;
	while (pending.count) {
		node_id node = pending.items[--pending.count];

		total.bytes += store_size(store, store_line(store, node), node);
		total.objects++;
		struct edge_cursor cursor = edges_of(store, node);
		if (!hw_vector_reserve(&pending, cursor.left)) {
			total = (struct total){0};
			break;
		}
		while (cursor.left)
			pending.items[pending.count++] = edge_next(&cursor);
	}
	hw_vector_deinit(&pending);
	return total;
}

static struct total node_total(const struct graph *graph, node_id node)
{
	BUG_ON(!graph->core_count);
	if (!graph_is_reached(graph, node))
		return (struct total){0};
	if (!graph_is_core(graph, node))
		return folded_total(graph, node);
	uint32_t rank = graph_core_rank(graph, node);
	return (struct total){graph->retained_bytes[rank], graph->retained_objects[rank]};
}

uint64_t graph_retained(struct graph *graph, node_id node)
{
	return node_total(graph, node).bytes;
}

uint64_t graph_retained_count(struct graph *graph, node_id node)
{
	return node_total(graph, node).objects;
}

// The core's part of the dominator tree, from above: lists of children, by rank. NODE_NONE ends them.
struct children {
	node_id *first, *sibling;
	size_t bytes;
};

static void children_deinit(struct children *children)
{
	pages_free(children->first, children->bytes);
	pages_free(children->sibling, children->bytes);
}

static struct error *children_init(struct children *children, const struct graph *graph)
{
	uint32_t rank = 0;

	children->bytes = graph->core_count * sizeof(node_id);
	children->first = pages_alloc(graph->spill_directory, children->bytes);
	children->sibling = pages_alloc(graph->spill_directory, children->bytes);
	if (!children->first || !children->sibling)
		return error_no_memory();
	memset(children->first, 0xff, children->bytes);
	for (uint32_t i = 0; i < graph->store.line_count; i++) {
		uint64_t bits = graph->store.lines[i].visited;

		for (; bits; bits &= bits - 1, rank++) {
			node_id parent = graph->dominator[rank];

			if (parent == NODE_NONE)
				continue;
			uint32_t parent_rank = graph_core_rank(graph, parent);
			children->sibling[rank] = children->first[parent_rank];
			children->first[parent_rank] =
				i * LINE_NODES + (node_id)__builtin_ctzll(bits);
		}
	}
	return NULL;
}

// A label that an ancestor of the node being walked has: until the pending stack is this short
// again.
struct open_label {
	uint32_t label;
	size_t height;
};

struct label_walk {
	const struct graph *graph;
	const struct children *children;
	graph_label_of *label_of;
	void *context;
	uint32_t label_count;
	uint64_t *bytes;
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
		walk->bytes[label] += size;
	walk->walked += size;
}

// Opening notes how much had been walked before, closing how much after: the difference is what
// lies below.
static bool label_open(struct label_walk *walk, node_id node)
{
	uint32_t label = walk->label_of(walk->context, node);

	if (label >= walk->label_count || walk->is_open[label])
		return true;
	walk->is_open[label] = true;
	walk->bytes[label] -= walk->walked;
	return hw_vector_push(&walk->open, ((struct open_label){label, walk->pending.count}));
}

static void labels_close(struct label_walk *walk)
{
	while (walk->open.count &&
		walk->open.items[walk->open.count - 1].height == walk->pending.count) {
		uint32_t label = walk->open.items[--walk->open.count].label;

		walk->is_open[label] = false;
		walk->bytes[label] += walk->walked;
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
	node_id targets[BATCH];

	while (cursor.left) {
		unsigned count = 0;

		for (; cursor.left && count < BATCH; count++) {
			targets[count] = edge_next(&cursor);
			__builtin_prefetch(store_line(store, targets[count]));
		}
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
	node_id child = walk->children->first[rank];

	while (child != NODE_NONE) {
		if (!hw_vector_reserve(&walk->pending, 1))
			return false;
		label_child(walk, store_line(&graph->store, child), child);
		child = walk->children->sibling[graph_core_rank(graph, child)];
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

struct error *graph_retained_by_label(struct graph *graph, graph_label_of *label_of, void *context,
	uint32_t label_count, uint64_t *bytes)
{
	_cleanup_(children_deinit) struct children children = {0};
	struct label_walk walk = {
		.graph = graph,
		.children = &children,
		.label_of = label_of,
		.context = context,
		.label_count = label_count,
		.bytes = bytes,
	};

	BUG_ON(!graph->core_count);
	struct error *err = children_init(&children, graph);
	if (!err) {
		memset(bytes, 0, label_count * sizeof(*bytes));
		walk.is_open = calloc(label_count ? label_count : 1, sizeof(*walk.is_open));
		err = walk.is_open ? label_walk_run(&walk) : error_no_memory();
	}
	free(walk.is_open);
	hw_vector_deinit(&walk.open);
	hw_vector_deinit(&walk.pending);
	return err;
}
