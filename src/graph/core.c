// Finding the core: one depth-first search that numbers nodes, folds what can be folded and takes
// the numbers of the folded back, so that the arrays never grow beyond the core (plus the path
// being walked).
//
// A node may be folded into its parent when nothing in its subtree has several predecessors: `kept`
// says which may not. While a node is the newest unfinished one, all numbers above its own belong
// to its subtree; when it is folded, they are all free again.
//
// The search waits for memory at each step, so it looks ahead: the successors of a node are decoded
// in batches and their lines prefetched before any is looked at. Leaves are dealt with at once and
// never stacked; a frame is dropped when its last pending successor is entered, so a list needs no
// stack at all.
//
// Afterwards the edges that are not in the search tree are collected by going through the core once
// more, in order.
#include "graph/core.h"

#include <stdlib.h>

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/pages.h"

enum { AHEAD = 12, ARC_BATCH = 256 };

// A node with successors that have not been looked at yet: pending ones on the stack from `base`
// on, and perhaps more still encoded.
struct frame {
	struct edge_cursor rest;
	uint32_t number;
	size_t base;
};

struct search {
	struct graph *graph;
	struct core *core;
	uint64_t *kept;       // by number
	uint32_t *arc_counts; // by multi rank
	uint32_t next;        // the next free number
	HW_VECTOR(node_id) pending;
	HW_VECTOR(struct frame) frames;
};

static inline uint32_t multi_rank(const struct node_line *line, node_id node)
{
	return line->multi_rank + rank_in_line(line->multi, node);
}

static inline void search_keep(struct search *search, uint32_t number)
{
	search->kept[number >> 6] |= UINT64_C(1) << (number & 63);
}

// Gives `node` the next number.
static inline uint32_t search_number(
	struct search *search, const struct node_line *line, node_id node, uint32_t parent)
{
	struct core *core = search->core;
	uint32_t number = search->next++;

	core->node[number] = node;
	core->parent[number] = parent;
	core->bytes[number] = store_size(&search->graph->store, line, node);
	core->objects[number] = graph_is_object(search->graph, node);
	search->kept[number >> 6] &= ~(UINT64_C(1) << (number & 63));
	return number;
}

// Enters a node with several predecessors for the first time.
static inline uint32_t search_number_multi(
	struct search *search, struct node_line *line, node_id node, uint32_t parent)
{
	uint32_t number = search_number(search, line, node, parent);

	line->visited |= node_bit(node);
	search->core->number[multi_rank(line, node)] = number;
	search_keep(search, number);
	return number;
}

// Looks at one successor of `number`. Those that must be walked later go onto the pending stack,
// which has room.
static inline void search_look(struct search *search, uint32_t number, node_id target)
{
	struct core *core = search->core;
	struct node_line *line = store_line(&search->graph->store, target);
	uint64_t bit = node_bit(target);
	bool inner = line->inner & bit;

	if (!(line->multi & bit)) {
		if (inner) {
			__builtin_prefetch(line->edges);
			search->pending.items[search->pending.count++] = target;
		} else {
			core->bytes[number] += store_size(&search->graph->store, line, target);
			core->objects[number]++;
		}
		return;
	}
	search_keep(search, number);
	if (line->visited & bit) {
		search->arc_counts[multi_rank(line, target)]++;
	} else if (inner) {
		__builtin_prefetch(line->edges);
		search->pending.items[search->pending.count++] = target;
	} else {
		search_number_multi(search, line, target, number);
	}
}

// Looks at the successors of `number` until some are pending. `*rest` are those not yet decoded.
static struct error *search_expand(
	struct search *search, uint32_t number, struct edge_cursor *rest, bool *finished)
{
	size_t base = search->pending.count;
	node_id targets[EDGES_AT_ONCE];

	while (rest->left && search->pending.count == base) {
		unsigned count = edges_take(&search->graph->store, rest, targets);

		if (!hw_vector_reserve(&search->pending, count))
			return error_no_memory();
		for (unsigned i = 0; i < count; i++)
			search_look(search, number, targets[i]);
	}
	*finished = search->pending.count == base;
	if (!*finished && !hw_vector_push(&search->frames, ((struct frame){*rest, number, base})))
		return error_no_memory();
	return NULL;
}

// Everything below `number` has been walked. Folds it or keeps it, and so on upwards until a node
// that has more to do. False when that was the root.
static bool search_finish(struct search *search, uint32_t number)
{
	struct core *core = search->core;

	while (number) {
		uint32_t parent = core->parent[number];

		if (bitmap_get(search->kept, number)) {
			search_keep(search, parent);
		} else {
			core->bytes[parent] += core->bytes[number];
			core->objects[parent] += core->objects[number];
			search->next = number;
		}
		if (search->frames.count &&
			search->frames.items[search->frames.count - 1].number == parent)
			return true;
		number = parent;
	}
	return false;
}

// Goes on with the newest frame: *number and *rest are what to expand next. False when the search
// is over.
static bool search_step(struct search *search, uint32_t *number, struct edge_cursor *rest)
{
	const struct store *store = &search->graph->store;

	for (;;) {
		struct frame *frame = &search->frames.items[search->frames.count - 1];
		uint32_t owner = frame->number;

		if (search->pending.count == frame->base) {
			*number = owner;
			*rest = frame->rest;
			search->frames.count--;
			return true;
		}
		node_id node = search->pending.items[--search->pending.count];
		bool last = search->pending.count == frame->base && !frame->rest.left;
		if (last)
			search->frames.count--;
		struct node_line *line = store_line(store, node);
		if (!(line->multi & node_bit(node))) {
			*number = search_number(search, line, node, owner);
		} else if (!(line->visited & node_bit(node))) {
			*number = search_number_multi(search, line, node, owner);
		} else {
			search->arc_counts[multi_rank(line, node)]++;
			if (last && !search_finish(search, owner))
				return false;
			continue;
		}
		*rest = edges_of(store, node);
		return true;
	}
}

static struct error *search_run(struct search *search)
{
	struct graph *graph = search->graph;
	struct edge_cursor rest = edges_of(&graph->store, graph->root);
	uint32_t number =
		search_number(search, store_line(&graph->store, graph->root), graph->root, 0);
	uint64_t steps = 0;

	search_keep(search, number);
	for (;;) {
		bool finished;
		struct error *err = search_expand(search, number, &rest, &finished);
		if (err)
			return err;
		if (finished && !search_finish(search, number))
			return NULL;
		if (!search_step(search, &number, &rest))
			return NULL;
		if ((++steps & 0xfffff) == 0 && cancel_requested())
			return error_cancelled();
	}
}

// Turns the counts into the places where each group of arcs begins.
static struct error *arcs_lay_out(struct core *core, const struct graph *graph, uint32_t *counts)
{
	uint64_t place = 0;

	for (uint32_t number = 0; number < core->count; number++) {
		node_id node = core->node[number];
		const struct node_line *line = store_line(&graph->store, node);

		if (number + AHEAD < core->count)
			__builtin_prefetch(store_line(&graph->store, core->node[number + AHEAD]));
		if (line->multi & node_bit(node)) {
			uint32_t rank = multi_rank(line, node), count = counts[rank];

			counts[rank] = (uint32_t)place;
			place += count;
		}
	}
	if (place > UINT32_MAX)
		return error_create(ERROR_TARGET, "the heap has too many shared references");
	core->arc_count = place;
	return NULL;
}

// Edges on their way to becoming arcs. Each stage looks at memory that the stage before it has
// asked for.
struct arc_batch {
	uint32_t count;
	struct {
		node_id target; // then its multi rank
		uint32_t source;
	} edges[ARC_BATCH];
};

static void arc_batch_finish(
	struct arc_batch *batch, struct core *core, const struct store *store, uint32_t *places)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < batch->count; i++) {
		node_id target = batch->edges[i].target;
		const struct node_line *line = store_line(store, target);

		if (!(line->multi & node_bit(target)))
			continue;
		uint32_t rank = multi_rank(line, target);
		__builtin_prefetch(&core->number[rank]);
		__builtin_prefetch(&places[rank]);
		batch->edges[kept].source = batch->edges[i].source;
		batch->edges[kept++].target = rank;
	}
	for (uint32_t i = 0; i < kept; i++) {
		uint32_t number = core->number[batch->edges[i].target];

		if (number != NUMBER_NONE)
			__builtin_prefetch(&core->parent[number]);
		__builtin_prefetch(&core->arcs[places[batch->edges[i].target]]);
	}
	for (uint32_t i = 0; i < kept; i++) {
		uint32_t rank = batch->edges[i].target, source = batch->edges[i].source;
		uint32_t number = core->number[rank];

		// Blocked targets were never entered; the edge of the search tree is no arc.
		if (number != NUMBER_NONE && core->parent[number] != source)
			core->arcs[places[rank]++] =
				source | (bitmap_add(core->has_arcs, number) ? ARC_FIRST : 0);
	}
	batch->count = 0;
}

static void arcs_fill(struct core *core, const struct graph *graph, uint32_t *places)
{
	const struct store *store = &graph->store;
	struct arc_batch batch = {0};

	for (uint32_t number = 0; number < core->count; number++) {
		if (number + 2 * AHEAD < core->count)
			__builtin_prefetch(store_line(store, core->node[number + 2 * AHEAD]));
		if (number + AHEAD < core->count)
			edges_prefetch(store, core->node[number + AHEAD]);
		for (struct edge_cursor cursor = edges_of(store, core->node[number]);
			cursor.left;) {
			node_id target = edge_next(&cursor);

			__builtin_prefetch(store_line(store, target));
			batch.edges[batch.count].target = target;
			batch.edges[batch.count++].source = number;
			if (batch.count == ARC_BATCH)
				arc_batch_finish(&batch, core, store, places);
		}
	}
	arc_batch_finish(&batch, core, store, places);
}

static struct error *core_search(struct graph *graph, struct core *core, uint32_t *arc_counts)
{
	struct search search = {.graph = graph, .core = core, .arc_counts = arc_counts};
	size_t kept_bytes = ((size_t)core->capacity / 64 + 1) * sizeof(*search.kept);
	struct error *err = NULL;

	search.kept = pages_alloc(NULL, kept_bytes);
	if (!search.kept)
		err = error_no_memory();
	if (!err)
		err = search_run(&search);
	core->count = search.next;
	pages_free(search.kept, kept_bytes);
	hw_vector_deinit(&search.pending);
	hw_vector_deinit(&search.frames);
	return err;
}

// Gives what the arrays hold beyond the core back.
static void core_shrink(struct core *core)
{
	size_t from = core->capacity, to = core->count;

	core->node = pages_resize(core->node, from * sizeof(*core->node), to * sizeof(*core->node));
	core->parent = pages_resize(
		core->parent, from * sizeof(*core->parent), to * sizeof(*core->parent));
	core->bytes =
		pages_resize(core->bytes, from * sizeof(*core->bytes), to * sizeof(*core->bytes));
	core->objects = pages_resize(
		core->objects, from * sizeof(*core->objects), to * sizeof(*core->objects));
	core->capacity = core->count;
}

// Nodes that can have a number at the same time, at most; also lays out the ranks of the multi
// nodes.
static uint64_t core_bound(struct graph *graph, uint64_t *multi_count)
{
	uint64_t bound = 1, multi = 0;

	for (uint32_t i = 0; i < graph->store.line_count; i++) {
		struct node_line *line = &graph->store.lines[i];

		line->multi_rank = (uint32_t)multi;
		multi += (uint64_t)__builtin_popcountll(line->multi);
		bound += (uint64_t)__builtin_popcountll(
			graph->reached[i] & (line->inner | line->multi));
	}
	*multi_count = multi;
	return bound;
}

struct error *core_build(struct graph *graph, struct core *out)
{
	struct core core = {0};
	uint64_t multi_count, bound = core_bound(graph, &multi_count);
	const char *spill = graph->spill_directory;
	struct error *err = NULL;

	if (bound >= ARC_FIRST)
		return error_create(ERROR_TARGET, "the heap has too many objects with pointers");
	core.capacity = (uint32_t)bound;
	core.multi_count = (uint32_t)multi_count;
	core.node = pages_alloc(spill, bound * sizeof(*core.node));
	core.parent = pages_alloc(spill, bound * sizeof(*core.parent));
	core.bytes = pages_alloc(spill, bound * sizeof(*core.bytes));
	core.objects = pages_alloc(spill, bound * sizeof(*core.objects));
	core.number = pages_alloc(spill, multi_count * sizeof(*core.number));
	size_t count_bytes = multi_count * sizeof(uint32_t);
	uint32_t *arc_counts = pages_alloc(spill, count_bytes);
	if (!core.node || !core.parent || !core.bytes || !core.objects || !core.number ||
		!arc_counts)
		err = pages_error(spill);
	if (!err) {
		memset(core.number, 0xff, multi_count * sizeof(*core.number));
		err = core_search(graph, &core, arc_counts);
	}
	if (!err) {
		core_shrink(&core);
		err = arcs_lay_out(&core, graph, arc_counts);
	}
	if (!err) {
		core.arcs = pages_alloc(spill, core.arc_count * sizeof(*core.arcs));
		core.has_arcs = pages_alloc(spill, core.count / 8 + sizeof(*core.has_arcs));
		if (!core.arcs || !core.has_arcs)
			err = pages_error(spill);
		else
			arcs_fill(&core, graph, arc_counts);
	}
	pages_free(arc_counts, count_bytes);
	pages_free(take_pointer(core.number), core.multi_count * sizeof(*core.number));
	if (err)
		core_deinit(&core);
	else
		*out = core;
	return err;
}

void core_forget_arcs(struct core *core)
{
	pages_free(take_pointer(core->arcs), core->arc_count * sizeof(*core->arcs));
	pages_free(take_pointer(core->has_arcs), core->count / 8 + sizeof(*core->has_arcs));
}

void core_deinit(struct core *core)
{
	core_forget_arcs(core);
	pages_free(core->node, core->capacity * sizeof(*core->node));
	pages_free(core->parent, core->capacity * sizeof(*core->parent));
	pages_free(core->bytes, core->capacity * sizeof(*core->bytes));
	pages_free(core->objects, core->capacity * sizeof(*core->objects));
	*core = (struct core){0};
}
