// From roots to holders. See holders.h.
#include "graph/holders.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "heapwhy/map.h"
#include "heapwhy/vector.h"

// Building the finest holders and their edges.
struct connecting {
	struct analysis *analysis;
	HW_VECTOR(struct holder_edge) edges;
	HW_VECTOR(struct root_holder) holders;
	struct hw_map by_key; // -> index in holders
	uint32_t current;     // the holder that graph_successors' targets are added to
	bool failed;
};

// What is one holder while names are unknown: a key for each root.
static uint64_t goroutine_key(uint32_t goroutine)
{
	return (UINT64_C(1) << 63) | goroutine;
}

static uint64_t root_key(const struct root *root)
{
	switch (root->kind) {
	case ROOT_GLOBAL:
		return root->slot;
	case ROOT_STACK:
	case ROOT_DEFER:
		return goroutine_key(root->owner);
	default:
		return (UINT64_C(1) << 62) | root->kind;
	}
}

// Makes the holder for `key` the current one.
static bool connecting_holder(
	struct connecting *connecting, uint64_t key, const struct root_holder *initial)
{
	uint64_t *holder = hw_map_at(&connecting->by_key, key, connecting->holders.count);

	if (!holder || (*holder == connecting->holders.count &&
			       !hw_vector_push(&connecting->holders, *initial)))
		return false;
	connecting->current = (uint32_t)*holder;
	return true;
}

static bool connecting_edge(struct connecting *connecting, object_id object, bool precise)
{
	struct holder_edge edge = {connecting->current, object, precise};

	return hw_vector_push(&connecting->edges, edge);
}

static bool connecting_root(struct connecting *connecting, size_t index)
{
	const struct root *root = &connecting->analysis->roots.list.items[index];
	object_id object = heap_find(connecting->analysis->heap, root->value);
	bool of_goroutine = root->kind == ROOT_STACK || root->kind == ROOT_DEFER;
	struct root_holder initial = {
		.goroutine = of_goroutine ? root->owner : UINT32_MAX,
		.first_root = (uint32_t)index,
	};

	if (object == OBJECT_NONE)
		return true;
	return connecting_holder(connecting, root_key(root), &initial) &&
	       connecting_edge(connecting, object, root->precise);
}

static bool connecting_visit(void *context, node_id node)
{
	struct connecting *connecting = context;

	connecting->failed |= !connecting_edge(connecting, node, true);
	return !connecting->failed;
}

// A goroutine's g lies on the heap and hangs on runtime.allgs like all others. What it points to (what it waits for, its
// deferred calls) goes when the goroutine ends: so the goroutine holds it, not the runtime's list.
static bool connecting_g(struct connecting *connecting, uint32_t index)
{
	struct analysis *analysis = connecting->analysis;
	remote_addr address = analysis->goroutines->goroutines[index].address;
	object_id g = heap_find(analysis->heap, address);
	struct root_holder initial = {.goroutine = index, .first_root = UINT32_MAX};

	// g0 of the first thread is no heap object; a damaged list may lead anywhere.
	if (g == OBJECT_NONE || heap_address(analysis->heap, g) != address)
		return true;
	if (!connecting_holder(connecting, goroutine_key(index), &initial))
		return false;
	graph_successors(analysis->graph, g, connecting_visit, connecting);
	graph_cut(analysis->graph, g);
	return !connecting->failed;
}

struct error *holders_connect(struct analysis *analysis)
{
	struct connecting connecting = {.analysis = analysis};
	bool done = hw_vector_reserve(&connecting.edges, analysis->roots.list.count);

	hw_map_init(&connecting.by_key);
	for (size_t i = 0; i < analysis->roots.list.count && done; i++)
		done = connecting_root(&connecting, i);
	for (uint32_t i = 0; i < analysis->goroutines->count && done; i++)
		done = connecting_g(&connecting, i);
	hw_map_deinit(&connecting.by_key);
	hw_vector_shrink(&connecting.holders);
	analysis->root_holders = connecting.holders.items;
	analysis->root_holder_count = (uint32_t)connecting.holders.count;
	struct error *err = done ? graph_connect(analysis->graph, analysis->root_holder_count,
					   connecting.edges.items, connecting.edges.count)
				 : error_no_memory();
	hw_vector_deinit(&connecting.edges);
	return err;
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
	remote_addr start = typing_global_place(grouping->analysis->typing, root->slot);
	struct holder holder = {
		.kind = HOLDER_GLOBAL,
		.first_goroutine = UINT32_MAX,
		.global = {.name = "", .start = start, .size = 8},
	};
	uint64_t *known = hw_map_at(&grouping->globals, start, UINT32_MAX);

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

static uint32_t group_fine(
	struct grouping *grouping, const uint32_t *of_goroutine, const struct root_holder *fine)
{
	if (fine->goroutine != UINT32_MAX)
		return of_goroutine[fine->goroutine];
	const struct root *root = &grouping->analysis->roots.list.items[fine->first_root];
	return root->kind == ROOT_GLOBAL ? group_global(grouping, root)
					 : group_kind(grouping, root->kind);
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
		fine->holder = group_fine(grouping, of_goroutine, fine);
		if (fine->holder == UINT32_MAX)
			return false;
		group_of[i] = fine->holder;
	}
	return true;
}

struct error *holders_group(struct analysis *analysis)
{
	struct grouping grouping = {.analysis = analysis};
	uint32_t *of_goroutine =
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
	analysis->goroutine_holders = of_goroutine;
	if (!done)
		return error_no_memory();
	struct error *err = graph_group(analysis->graph, analysis->holder_count, group_of);
	for (uint32_t i = 0; i < analysis->holder_count && !err; i++)
		analysis->holders[i].node = graph_group_node(analysis->graph, i);
	return err;
}

void holders_name(struct analysis *analysis)
{
	for (uint32_t i = 0; i < analysis->root_holder_count; i++) {
		const struct root_holder *fine = &analysis->root_holders[i];
		struct holder *holder = &analysis->holders[fine->holder];

		if (holder->kind == HOLDER_GLOBAL && !holder->named)
			holder->named = typing_global(analysis->typing,
				analysis->roots.list.items[fine->first_root].slot, &holder->global);
	}
}
