// A layer of groups between the root and the holders.
//
// The graph is complete when groups come: they are appended behind the old root, in lines of their
// own, and a new root takes its place. What is reached stays as it is.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "graph/internal.h"
#include "graph/targets.h"

// One edge list after the other: the holders of each group, then the groups of the root. `members`
// are the holders ordered by group, `ends` where each group's members end.
static bool groups_store(
	struct graph *graph, uint32_t group_count, const uint32_t *members, const uint32_t *ends)
{
	struct line_writer writer;
	struct target_set set;
	bool ok = true;

	line_writer_init(&writer, &graph->store);
	target_set_init(&set, graph_node_count(graph));
	for (uint32_t g = 0; g < group_count && ok; g++) {
		node_id node = graph->first_group + g;

		for (uint32_t i = g ? ends[g - 1] : 0; i < ends[g]; i++)
			target_set_add(&set, graph->first_holder + members[i]);
		target_set_finish(&set, node);
		ok = !set.failed && (!set.count || line_writer_add(&writer, node, &set));
		target_set_clear(&set);
		// Like holders, they are asked for by name: never folded into the root.
		store_line(&graph->store, node)->multi |= node_bit(node);
	}
	for (uint32_t g = 0; g < group_count && ok; g++)
		target_set_add(&set, graph->first_group + g);
	target_set_finish(&set, graph->root);
	ok = ok && !set.failed && (!set.count || line_writer_add(&writer, graph->root, &set)) &&
	     line_writer_finish(&writer);
	target_set_deinit(&set);
	line_writer_deinit(&writer);
	return ok;
}

// Takes the root's edges away and makes room for the groups and the new root, all of them reached.
static bool groups_make_room(struct graph *graph, uint32_t group_count)
{
	size_t old_words = graph_bitmap_words(graph);

	if (graph->holder_count)
		store_forget(&graph->store, graph->root);
	graph->reached[graph->root >> 6] &= ~(UINT64_C(1) << (graph->root & 63));
	graph->first_group = (node_id)(old_words * LINE_NODES);
	graph->group_count = group_count;
	graph->root = graph->first_group + group_count;
	if (!store_resize(&graph->store, graph_node_count(graph)))
		return false;
	size_t words = graph_bitmap_words(graph);
	uint64_t *reached = realloc(graph->reached, words * sizeof(*reached));
	if (!reached)
		return false;
	memset(reached + old_words, 0, (words - old_words) * sizeof(*reached));
	graph->reached = reached;
	for (uint32_t g = 0; g <= group_count; g++)
		bitmap_add(reached, graph->first_group + g);
	return true;
}

// `group_of` turned round: members by group, and where each group's members end.
static void groups_sort(const uint32_t *group_of, uint32_t holder_count, uint32_t group_count,
	uint32_t *members, uint32_t *ends)
{
	for (uint32_t h = 0; h < holder_count; h++)
		ends[group_of[h]]++;
	for (uint32_t g = 1; g < group_count; g++)
		ends[g] += ends[g - 1];
	for (uint32_t h = holder_count; h-- > 0;)
		members[--ends[group_of[h]]] = h;
	// Now they are where each group begins: that is where the one before ends.
	for (uint32_t g = 0; g + 1 < group_count; g++)
		ends[g] = ends[g + 1];
	if (group_count)
		ends[group_count - 1] = holder_count;
}

struct error *graph_group(struct graph *graph, uint32_t group_count, const uint32_t *group_of)
{
	_cleanup_free_ uint32_t *members =
		calloc((size_t)graph->holder_count + 1, sizeof(*members));
	_cleanup_free_ uint32_t *ends = calloc((size_t)group_count + 1, sizeof(*ends));

	BUG_ON(!graph->reached || graph->core_count || graph->group_count);
	if (!members || !ends)
		return error_no_memory();
	if (graph_node_count(graph) + LINE_NODES + group_count >= NODE_NONE)
		return error_create(ERROR_TARGET, "the heap has too many objects and holders");
	for (uint32_t h = 0; h < graph->holder_count; h++)
		BUG_ON(group_of[h] >= group_count);
	groups_sort(group_of, graph->holder_count, group_count, members, ends);
	if (!groups_make_room(graph, group_count) ||
		!groups_store(graph, group_count, members, ends))
		return error_no_memory();
	graph_rank_reached(graph);
	return NULL;
}

node_id graph_group_node(const struct graph *graph, uint32_t group)
{
	return graph->first_group + group;
}
