// From roots to holders. See holders.h.
#include "graph/holders.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "heapwhy/map.h"
#include "heapwhy/vector.h"

// What is one holder while names are unknown: a key for each root.
static uint64_t root_key(const struct root *root)
{
	switch (root->kind) {
	case ROOT_GLOBAL:
		return root->slot;
	case ROOT_STACK:
	case ROOT_DEFER:
		return (UINT64_C(1) << 63) | root->owner;
	default:
		return (UINT64_C(1) << 62) | root->kind;
	}
}

struct error *holders_connect(struct analysis *analysis)
{
	const struct roots *roots = &analysis->roots;
	_cleanup_free_ struct holder_edge *edges = calloc(roots->list.count + 1, sizeof(*edges));
	HW_VECTOR(struct root_holder) holders = HW_VECTOR_INIT;
	struct hw_map by_key;
	size_t edge_count = 0;
	bool done = edges != NULL;

	hw_map_init(&by_key);
	for (size_t i = 0; i < roots->list.count && done; i++) {
		const struct root *root = &roots->list.items[i];
		object_id object = heap_find(analysis->heap, root->value);
		if (object == OBJECT_NONE)
			continue;
		uint64_t *holder = hw_map_at(&by_key, root_key(root), holders.count);
		done = holder &&
		       (*holder < holders.count ||
			       hw_vector_push(&holders,
				       ((struct root_holder){.first_root = (uint32_t)i})));
		if (done)
			edges[edge_count++] = (struct holder_edge){
				.holder = (uint32_t)*holder,
				.object = object,
				.precise = root->precise,
			};
	}
	hw_map_deinit(&by_key);
	hw_vector_shrink(&holders);
	analysis->root_holders = holders.items;
	analysis->root_holder_count = (uint32_t)holders.count;
	if (!done)
		return error_no_memory();
	return graph_connect(analysis->graph, analysis->root_holder_count, edges, edge_count);
}

bool goroutines_alike(const struct goroutine_list *list, uint32_t a, uint32_t b)
{
	const struct goroutine *one = &list->goroutines[a], *other = &list->goroutines[b];

	if (one->status != other->status || one->created_at != other->created_at ||
		one->frame_count != other->frame_count || one->system != other->system ||
		strcmp(one->wait_reason, other->wait_reason))
		return false;
	for (uint32_t i = 0; i < one->frame_count; i++)
		if (list->frames[one->first_frame + i].pc !=
			list->frames[other->first_frame + i].pc)
			return false;
	return true;
}

// FNV-1a over what goroutines_alike() compares.
static uint64_t goroutine_hash(const struct goroutine_list *list, uint32_t index)
{
	const struct goroutine *goroutine = &list->goroutines[index];
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

#define MIX(word) (hash = (hash ^ (word)) * UINT64_C(0x100000001b3))
	MIX(goroutine->status);
	MIX(goroutine->created_at);
	for (const char *c = goroutine->wait_reason; *c; c++)
		MIX((unsigned char)*c);
	for (uint32_t i = 0; i < goroutine->frame_count; i++)
		MIX(list->frames[goroutine->first_frame + i].pc);
#undef MIX
	return hash;
}

struct grouping {
	struct analysis *analysis;
	HW_VECTOR(struct holder) holders;
	struct hw_map globals;    // start of a variable -> holder
	struct hw_map goroutines; // hash of what it does -> holder
	uint32_t of_kind[HOLDER_RUNTIME + 1];
};

// Each returns the index of the holder, UINT32_MAX without memory.
static uint32_t grouping_add(struct grouping *grouping, const struct holder *holder)
{
	if (!hw_vector_push(&grouping->holders, *holder))
		return UINT32_MAX;
	return (uint32_t)grouping->holders.count - 1;
}

static uint32_t group_global(struct grouping *grouping, const struct root *root)
{
	struct holder holder = {.kind = HOLDER_GLOBAL, .first_goroutine = UINT32_MAX};

	holder.named = typing_global(grouping->analysis->typing, root->slot, &holder.global);
	if (!holder.named)
		holder.global = (struct global_name){.name = "", .start = root->slot, .size = 8};
	uint64_t *known = hw_map_at(&grouping->globals, holder.global.start, UINT32_MAX);
	if (!known)
		return UINT32_MAX;
	if (*known == UINT32_MAX)
		*known = grouping_add(grouping, &holder);
	return (uint32_t)*known;
}

static uint32_t group_goroutine(struct grouping *grouping, uint32_t index)
{
	const struct goroutine_list *list = grouping->analysis->goroutines;
	const struct goroutine *goroutine = &list->goroutines[index];

	for (uint64_t hash = goroutine_hash(list, index);; hash++) {
		uint64_t *known = hw_map_at(&grouping->goroutines, hash, UINT32_MAX);
		if (!known)
			return UINT32_MAX;
		if (*known == UINT32_MAX) {
			struct holder holder = {
				.kind = HOLDER_GOROUTINE,
				.goroutines = 1,
				.first_goroutine = index,
				.longest_wait_ns = goroutine->wait_ns,
			};
			*known = grouping_add(grouping, &holder);
			return (uint32_t)*known;
		}
		struct holder *holder = &grouping->holders.items[*known];
		if (!goroutines_alike(list, holder->first_goroutine, index))
			continue;
		holder->goroutines++;
		if (goroutine->wait_ns > holder->longest_wait_ns)
			holder->longest_wait_ns = goroutine->wait_ns;
		return (uint32_t)*known;
	}
}

static uint32_t group_kind(struct grouping *grouping, enum root_kind kind)
{
	static const enum holder_kind kinds[] = {
		[ROOT_FINALIZER] = HOLDER_FINALIZER,
		[ROOT_CLEANUP] = HOLDER_FINALIZER,
		[ROOT_QUEUED] = HOLDER_QUEUE,
		[ROOT_WEAK] = HOLDER_RUNTIME,
		[ROOT_RUNTIME] = HOLDER_RUNTIME,
	};
	struct holder holder = {.kind = kinds[kind], .first_goroutine = UINT32_MAX};

	if (grouping->of_kind[holder.kind] == UINT32_MAX)
		grouping->of_kind[holder.kind] = grouping_add(grouping, &holder);
	return grouping->of_kind[holder.kind];
}

static uint32_t group_root(
	struct grouping *grouping, const uint32_t *of_goroutine, const struct root *root)
{
	switch (root->kind) {
	case ROOT_GLOBAL:
		return group_global(grouping, root);
	case ROOT_STACK:
	case ROOT_DEFER:
		return of_goroutine[root->owner];
	default:
		return group_kind(grouping, root->kind);
	}
}

// Every goroutine belongs to a holder, also one that keeps nothing: reports count them.
static bool grouping_run(struct grouping *grouping, uint32_t *of_goroutine, uint32_t *group_of)
{
	struct analysis *analysis = grouping->analysis;

	for (uint32_t i = 0; i < analysis->goroutines->count; i++) {
		of_goroutine[i] = group_goroutine(grouping, i);
		if (of_goroutine[i] == UINT32_MAX)
			return false;
	}
	for (uint32_t i = 0; i < analysis->root_holder_count; i++) {
		struct root_holder *fine = &analysis->root_holders[i];
		fine->holder = group_root(
			grouping, of_goroutine, &analysis->roots.list.items[fine->first_root]);
		if (fine->holder == UINT32_MAX)
			return false;
		group_of[i] = fine->holder;
	}
	return true;
}

struct error *holders_group(struct analysis *analysis)
{
	struct grouping grouping = {.analysis = analysis};
	_cleanup_free_ uint32_t *of_goroutine =
		calloc((size_t)analysis->goroutines->count + 1, sizeof(*of_goroutine));
	_cleanup_free_ uint32_t *group_of =
		calloc((size_t)analysis->root_holder_count + 1, sizeof(*group_of));

	hw_map_init(&grouping.globals);
	hw_map_init(&grouping.goroutines);
	memset(grouping.of_kind, 0xff, sizeof(grouping.of_kind));
	bool done = of_goroutine && group_of && grouping_run(&grouping, of_goroutine, group_of);
	hw_map_deinit(&grouping.globals);
	hw_map_deinit(&grouping.goroutines);
	hw_vector_shrink(&grouping.holders);
	analysis->holders = grouping.holders.items;
	analysis->holder_count = (uint32_t)grouping.holders.count;
	if (!done)
		return error_no_memory();
	struct error *err = graph_group(analysis->graph, analysis->holder_count, group_of);
	for (uint32_t i = 0; i < analysis->holder_count && !err; i++)
		analysis->holders[i].node = graph_group_node(analysis->graph, i);
	return err;
}
