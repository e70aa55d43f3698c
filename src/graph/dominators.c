// Dominators of the core: semi-NCA (Georgiadis), with what keeps it near linear on every graph.
//
// 1. Semidominators, numbers descending. The walk up from a predecessor compresses its whole path.
//    It keeps no stack: on the way up it turns the links around, on the way down it sets them
//    right, so a path may be as long as the graph is deep.
// 2. Dominators, numbers ascending: the nearest ancestor of the parent in the dominator tree that
//    is no later than the semidominator. Plain semi-NCA climbs node by node, which is quadratic on a
//    mirrored chain; skew-binary jump pointers (Myers) make each climb logarithmic.
// 3. Retained sizes, numbers descending: a sum is complete when it is added to the dominator's.
#include "base/cleanup.h"
#include "base/error.h"
#include "base/temporary.h"
#include "base/log.h"
#include "base/units.h"
#include "graph/core.h"
#include "base/pages.h"
#include "target/method.h"

// What steps 1 and 2 keep about a number, side by side because they are needed together.
union step {
	struct {
		uint32_t link;  // an ancestor in the search tree; what lies between is in least
		uint32_t least; // the least semidominator from this number up to before the link
	};
	struct {
		uint32_t jump;  // an ancestor in the dominator tree, 2^k - 1 steps up
		uint32_t depth; // in the dominator tree
	};
};

// The least semidominator on the path from `node` up to its last ancestor that is not before
// `first`. Afterwards all numbers of the path are linked to what lies above it.
static inline uint32_t path_least(union step *steps, uint32_t number, uint32_t first)
{
	uint32_t below = NUMBER_NONE, at = number;

	while (steps[at].link >= first) {
		uint32_t above = steps[at].link;

		steps[at].link = below;
		below = at;
		at = above;
	}
	uint32_t top = steps[at].link, least = steps[at].least;
	for (at = below; at != NUMBER_NONE; at = below) {
		below = steps[at].link;
		steps[at].link = top;
		if (least < steps[at].least)
			steps[at].least = least;
		else
			least = steps[at].least;
	}
	return least;
}

// Leaves the semidominator of each number with arcs in the first arc of its group.
static void semidominators_find(struct core *core, union step *steps)
{
	uint64_t arc = core->arc_count;

	for (uint32_t number = 0; number < core->count; number++)
		steps[number].link = core->parent[number];
	for (uint32_t number = core->count - 1; number > 0; number--) {
		uint32_t semi = core->parent[number];

		if (bitmap_get(core->has_arcs, number)) {
			uint64_t end = arc;

			while (!(core->arcs[--arc] & ARC_FIRST))
				continue;
			for (uint64_t i = arc; i < end; i++) {
				uint32_t source = core->arcs[i] & ~ARC_FIRST;
				uint32_t least = source <= number
							 ? source
							 : path_least(steps, source, number + 1);
				if (least < semi)
					semi = least;
			}
			core->arcs[arc] = semi | ARC_FIRST;
		}
		steps[number].least = semi;
	}
}

// Turns core->parent into the dominators.
static void dominators_find(struct core *core, union step *steps)
{
	uint32_t *dominator = core->parent;
	uint64_t arc = 0;

	steps[0].jump = 0;
	steps[0].depth = 0;
	for (uint32_t number = 1; number < core->count; number++) {
		uint32_t at = dominator[number];

		if (bitmap_get(core->has_arcs, number)) {
			uint32_t semi = core->arcs[arc++] & ~ARC_FIRST;

			while (arc < core->arc_count && !(core->arcs[arc] & ARC_FIRST))
				arc++;
			while (at > semi)
				at = steps[at].jump >= semi ? steps[at].jump : dominator[at];
			dominator[number] = at;
		}
		// Two jumps of the same length in a row become one.
		union step above = steps[at], over = steps[above.jump];
		bool same = above.depth - over.depth == over.depth - steps[over.jump].depth;
		steps[number].depth = above.depth + 1;
		steps[number].jump = same ? over.jump : at;
	}
}

static void retained_sum(struct core *core)
{
	for (uint32_t number = core->count - 1; number > 0; number--) {
		core->bytes[core->parent[number]] += core->bytes[number];
		core->objects[core->parent[number]] += core->objects[number];
	}
}

// Marks the core nodes in `visited`, which is needed no longer, and lays out their ranks.
static void core_rank(struct store *store, const struct core *core)
{
	uint32_t rank = 0;

	for (uint32_t i = 0; i < store->line_count; i++)
		store->lines[i].visited = 0;
	for (uint32_t number = 0; number < core->count; number++)
		store_line(store, core->node[number])->visited |= node_bit(core->node[number]);
	for (uint32_t i = 0; i < store->line_count; i++) {
		store->lines[i].multi_rank = rank;
		rank += (uint32_t)__builtin_popcountll(store->lines[i].visited);
	}
}

// Moves the results from the search's numbers to ranks, so that neither numbers nor the way back
// from them need be kept. One array after the other, each given back at once.
static struct error *core_publish(struct core *core, struct graph *graph)
{
	const char *spill = graph->spill_directory;
	uint32_t count = core->count;

	core_rank(&graph->store, core);
	graph->dominator = pages_alloc(spill, count * sizeof(*graph->dominator));
	if (!graph->dominator)
		return pages_error(spill);
	for (uint32_t number = 0; number < count; number++)
		graph->dominator[graph_core_rank(graph, core->node[number])] =
			number ? core->node[core->parent[number]] : NODE_NONE;
	pages_free(take_pointer(core->parent), count * sizeof(*core->parent));

	uint32_t *rank = core->node;
	for (uint32_t number = 0; number < count; number++)
		rank[number] = graph_core_rank(graph, core->node[number]);
	graph->retained_objects = pages_alloc(spill, count * sizeof(*graph->retained_objects));
	if (!graph->retained_objects)
		return pages_error(spill);
	for (uint32_t number = 0; number < count; number++)
		graph->retained_objects[rank[number]] = core->objects[number];
	pages_free(take_pointer(core->objects), count * sizeof(*core->objects));

	graph->retained_bytes = pages_alloc(spill, count * sizeof(*graph->retained_bytes));
	if (!graph->retained_bytes)
		return pages_error(spill);
	for (uint32_t number = 0; number < count; number++)
		graph->retained_bytes[rank[number]] = core->bytes[number];
	return NULL;
}

static struct error *core_dominate(struct core *core, const struct graph *graph)
{
	size_t bytes = core->count * sizeof(union step);
	union step *steps = pages_alloc(graph->spill_directory, bytes);

	if (!steps)
		return pages_error(graph->spill_directory);
	semidominators_find(core, steps);
	dominators_find(core, steps);
	retained_sum(core);
	pages_free(steps, bytes);
	core_forget_arcs(core);
	return NULL;
}

// What graph_dominate will need at most, arrays of the core's numbers and arcs.
static uint64_t dominate_bytes(const struct graph *graph)
{
	const struct store *store = &graph->store;
	uint64_t numbers = 0, multi = 0;

	for (uint32_t i = 0; i < store->line_count; i++) {
		const struct node_line *line = &store->lines[i];

		numbers += (uint64_t)__builtin_popcountll(
			graph->reached[i] & (line->inner | line->multi));
		multi += (uint64_t)__builtin_popcountll(line->multi);
	}
	return numbers * (CORE_BYTES + sizeof(union step)) + multi * 2 * sizeof(uint32_t) +
	       graph->edges_followed * sizeof(uint32_t);
}

// The report needs memory besides ours, and so do others: half of what is left is what we take.
static void memory_choose(struct graph *graph)
{
	uint64_t limit =
		graph->memory_limit ? graph->memory_limit : method_memory_left(getpid()) / 2;
	uint64_t need = dominate_bytes(graph);
	char need_text[24], limit_text[24];

	if (need <= limit)
		return;
	graph->spill_directory = temporary_directory();
	log_remark("the dominators may need %s and %s of memory can be had: using a file in %s",
		format_bytes(need_text, sizeof(need_text), need),
		format_bytes(limit_text, sizeof(limit_text), limit), graph->spill_directory);
}

void graph_limit_memory(struct graph *graph, uint64_t bytes)
{
	graph->memory_limit = bytes;
}

struct error *graph_dominate(struct graph *graph)
{
	struct core core;

	BUG_ON(!graph->reached || graph->core_count);
	memory_choose(graph);
	struct error *err = core_build(graph, &core);
	if (err)
		return err;
	err = core_dominate(&core, graph);
	// What was published when memory ran out is freed with the graph.
	graph->core_count = core.count;
	if (!err)
		err = core_publish(&core, graph);
	core_deinit(&core);
	return err;
}
