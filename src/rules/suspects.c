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

static size_t same_kind(const struct suspects *suspects, size_t first, bool same_keeper)
{
	const struct suspect *list = suspects->list.items;
	size_t end = first;

	while (end < suspects->list.count && list[end].kind == list[first].kind &&
		(!same_keeper || list[end].keeper == list[first].keeper))
		end++;
	return end;
}

// Suspects that several holders share have the same cause as those of their kind that one keeps alone: they go to the
// one who keeps most. The list is sorted, shared ones at the end of their kind.
static void shared_assign(struct suspects *suspects)
{
	struct suspect *list = suspects->list.items;

	for (size_t i = 0, end; i < suspects->list.count; i = end) {
		node_id keeper = NODE_NONE;
		uint64_t most = 0;

		end = same_kind(suspects, i, false);
		for (size_t k = i, next; k < end && list[k].keeper != NODE_NONE; k = next) {
			uint64_t bytes = 0;
			next = same_kind(suspects, k, true);
			for (size_t n = k; n < next; n++)
				bytes += list[n].bytes;
			if (bytes > most) {
				most = bytes;
				keeper = list[k].keeper;
			}
		}
		for (size_t k = end; k-- > i && list[k].keeper == NODE_NONE;)
			list[k].keeper = keeper;
	}
}

static void suspects_sort(struct suspects *suspects)
{
	if (suspects->list.count)
		qsort(suspects->list.items, suspects->list.count, sizeof(*suspects->list.items),
			suspect_compare);
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

	if (suspects->no_memory)
		return error_no_memory();
	if (!suspects->list.count)
		return NULL;
	for (size_t i = 0; i < suspects->list.count; i++) {
		struct suspect *suspect = &suspects->list.items[i];
		suspect->keeper = keeper_of(
			analysis->graph, analysis->heap->object_count, suspect->object, &steps);
	}
	suspects_sort(suspects);
	shared_assign(suspects);
	suspects_sort(suspects);
	for (size_t i = 0, next; i < suspects->list.count; i = next) {
		struct suspect_group group = {.first = i, .example = &suspects->list.items[i]};
		next = same_kind(suspects, i, true);
		for (size_t k = i; k < next; k++) {
			const struct suspect *suspect = &suspects->list.items[k];
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
