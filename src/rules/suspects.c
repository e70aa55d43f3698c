// From suspects to findings' worth of them.
#include "rules/suspects.h"

#include <stdlib.h>

#include "base/error.h"

enum { CLIMBS_MAX = 50 << 20 }; // steps up the dominator tree, all together: long lists are steep

void suspects_add(struct suspects *suspects, struct suspect suspect)
{
	if (suspect.bytes && !hw_vector_push(&suspects->list, suspect))
		suspects->no_memory = true;
}

void suspects_deinit(struct suspects *suspects)
{
	hw_vector_deinit(&suspects->list);
	hw_vector_deinit(&suspects->groups);
}

// The holder that keeps the object alone; NODE_NONE when several do.
static node_id keeper_of(struct graph *graph, uint64_t object_count, node_id node, uint64_t *steps)
{
	node_id root = graph_root_node(graph), keeper = NODE_NONE;

	for (; node != NODE_NONE && node != root && *steps; (*steps)--) {
		keeper = node;
		node = graph_dominator(graph, node);
	}
	return keeper < object_count ? NODE_NONE : keeper;
}

static int suspect_compare(const void *a, const void *b)
{
	const struct suspect *one = a, *other = b;

	if (one->kind != other->kind)
		return one->kind < other->kind ? -1 : 1;
	if (one->keeper != other->keeper)
		return one->keeper < other->keeper ? -1 : 1;
	return one->object < other->object ? -1 : one->object > other->object;
}

static bool tells_more(
	const struct rule_run *run, const struct suspect *suspect, const struct suspect *than)
{
	const struct allocation_sites *sites = run->findings->sites;
	bool sampled = allocation_is_sampled(sites, suspect->object);

	if (sampled != allocation_is_sampled(sites, than->object))
		return sampled;
	return suspect->bytes > than->bytes;
}

struct error *suspects_group(struct suspects *suspects, struct rule_run *run)
{
	struct analysis *analysis = run->analysis;
	uint64_t steps = CLIMBS_MAX;
	struct error *err = graph_prepare_paths(analysis->graph);

	if (err)
		return err;
	if (suspects->no_memory)
		return error_no_memory();
	for (size_t i = 0; i < suspects->list.count; i++) {
		struct suspect *suspect = &suspects->list.items[i];
		suspect->keeper = keeper_of(
			analysis->graph, analysis->heap->object_count, suspect->object, &steps);
	}
	if (suspects->list.count)
		qsort(suspects->list.items, suspects->list.count, sizeof(*suspects->list.items),
			suspect_compare);
	for (size_t i = 0, next; i < suspects->list.count; i = next) {
		const struct suspect *first = &suspects->list.items[i];
		struct suspect_group group = {.first = i, .example = first};
		for (next = i; next < suspects->list.count; next++) {
			const struct suspect *suspect = &suspects->list.items[next];
			if (suspect->kind != first->kind || suspect->keeper != first->keeper)
				break;
			group.bytes += suspect->bytes;
			group.count++;
			group.most = suspect->bytes > group.most ? suspect->bytes : group.most;
			if (tells_more(run, suspect, group.example))
				group.example = suspect;
		}
		if (group.bytes >= run->rule->least && !hw_vector_push(&suspects->groups, group))
			return error_no_memory();
	}
	return NULL;
}
