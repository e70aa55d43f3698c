// Dominators of the core: semi-NCA (Georgiadis), with what keeps it near linear on every graph.
//
// 1. Semidominators, numbers descending. The walk up from a predecessor compresses its whole path.
// It keeps no stack:
//    on the way up it turns the links around, on the way down it sets them right, so a path may be
//    as long as the graph is deep.
// 2. Dominators, numbers ascending: the nearest ancestor of the parent in the dominator tree that
// is no later than the
//    semidominator. Plain semi-NCA climbs node by node, which is quadratic on a mirrored chain;
//    skew-binary jump pointers (Myers) make each climb logarithmic.
// 3. Retained sizes, numbers descending: a node's sum is complete when it is added to its
// dominator's.
//
#include <stdlib.h>

#include "base/cancel.h"
#include "graph/core.h"
#include "graph/pages.h"

// What steps 1 and 2 keep about a number, side by side because they are needed together.
union step {
	struct {
		uint32_t link; // an ancestor in the search tree; all that lies between is accounted
			       // for in:
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

// Makes core nodes findable by node: their bits go into `visited`, which is needed no longer, their
// ranks too.
static struct error *core_index(struct graph *graph, const struct core *core, uint32_t **out)
{
	struct store *store = &graph->store;
	uint32_t *numbers = pages_alloc(graph->spill_directory, core->count * sizeof(*numbers));
	uint32_t rank = 0;

	if (!numbers)
		return error_no_memory();
	for (uint32_t i = 0; i < store->line_count; i++)
		store->lines[i].visited = 0;
	for (uint32_t number = 0; number < core->count; number++)
		store_line(store, core->node[number])->visited |= node_bit(core->node[number]);
	for (uint32_t i = 0; i < store->line_count; i++) {
		store->lines[i].multi_rank = rank;
		rank += (uint32_t)__builtin_popcountll(store->lines[i].visited);
	}
	for (uint32_t number = 0; number < core->count; number++) {
		node_id node = core->node[number];
		const struct node_line *line = store_line(store, node);

		numbers[line->multi_rank + rank_in_line(line->visited, node)] = number;
	}
	*out = numbers;
	return NULL;
}

struct error *graph_dominate(struct graph *graph)
{
	struct core core;

	BUG_ON(!graph->reached || graph->core_count);
	struct error *err = core_build(graph, &core);
	if (err)
		return err;
	pages_free(core.number, core.multi_count * sizeof(*core.number));
	core.number = NULL;
	size_t bytes = core.count * sizeof(union step);
	union step *steps = pages_alloc(graph->spill_directory, bytes);
	if (steps) {
		semidominators_find(&core, steps);
		dominators_find(&core, steps);
		retained_sum(&core);
	} else {
		err = error_no_memory();
	}
	pages_free(steps, bytes);
	if (!err)
		err = core_index(graph, &core, &graph->number_by_rank);
	if (err) {
		core_deinit(&core, graph);
		return err;
	}
	graph->core_count = core.count;
	graph->core_node = core.node;
	graph->dominator = core.parent;
	graph->retained_bytes = core.bytes;
	graph->retained_objects = core.objects;
	pages_free(core.arcs, core.arc_count * sizeof(*core.arcs));
	pages_free(core.has_arcs, core.count / 8 + sizeof(*core.has_arcs));
	return NULL;
}
