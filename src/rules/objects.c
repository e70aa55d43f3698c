// What rules ask about objects.
#include "rules/objects.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "goruntime/bits.h"
#include "heapwhy/map.h"

enum { RETAINED_MAX = 8 << 20 }; // objects

const char *object_type_name(const struct rule_run *run, object_id object)
{
	const struct typing *typing = run->analysis->typing;
	const char *name = typing_label_name(typing, typing_label_of(typing, object));

	return strcmp(name, "string bytes") ? name : "string";
}

bool object_is_pooled(const struct rule_run *run, object_id object)
{
	node_id parent = graph_parent(run->analysis->graph, object);

	if (parent >= run->analysis->heap->object_count)
		return false;
	const char *name = object_type_name(run, parent);
	return !strcmp(name, "[]sync.eface") || !strcmp(name, "[]sync.poolLocal");
}

bool object_is_unseen(const struct rule_run *run, object_id object)
{
	node_id parent = graph_parent(run->analysis->graph, object);
	const struct windowed_object *holder = parent < run->analysis->heap->object_count
						       ? windows_find(run->windows, parent)
						       : NULL;

	return windows_find(run->windows, object) ||
	       (holder && holder->viewed < (uint64_t)holder->spare + holder->pinned);
}

// Calls visit for each live object from `first` on, until that returns false.
static void live_walk(const struct rule_run *run, object_id first,
	bool (*visit)(void *context, object_id object, uint32_t label), void *context)
{
	const struct typing *typing = run->analysis->typing;
	const uint64_t *live = graph_reached(run->analysis->graph);
	uint64_t count = run->analysis->heap->object_count;

	for (uint64_t word = first / 64; word < bits_words(count); word++) {
		for (uint64_t bits = live[word]; bits; bits &= bits - 1) {
			object_id id = (object_id)(word * 64 + (unsigned)__builtin_ctzll(bits));
			if (id >= count ||
				(id >= first && !visit(context, id, typing_label_of(typing, id))))
				return;
		}
	}
}

// Which labels are chosen, and how many of their objects are yet to be visited.
struct choice {
	bool *chosen; // by label
	uint64_t left;
	object_visit *visit;
	void *context;
	struct error *err;
};

static bool choice_visit(void *context, object_id object, uint32_t label)
{
	struct choice *choice = context;

	if (!choice->chosen[label])
		return true;
	choice->err = choice->visit(choice->context, object);
	return !choice->err && --choice->left;
}

struct error *objects_each(
	struct rule_run *run, object_pick *pick, object_visit *visit, void *context)
{
	const struct typing *typing = run->analysis->typing;
	uint32_t labels = typing_label_count(typing);
	object_id first = OBJECT_NONE;
	_cleanup_free_ bool *chosen = calloc((size_t)labels + 1, sizeof(*chosen));
	struct choice choice = {.chosen = chosen, .visit = visit, .context = context};

	if (!chosen)
		return error_no_memory();
	for (uint32_t i = 0; i < labels; i++) {
		const struct label_count *live = typing_label_live(typing, i);
		chosen[i] = live->objects && pick(context, live->first);
		if (!chosen[i])
			continue;
		choice.left += live->objects;
		first = live->first < first ? live->first : first;
	}
	if (choice.left)
		live_walk(run, first, choice_visit, &choice);
	return choice.err;
}

uint64_t objects_count(const struct rule_run *run, object_pick *pick, void *context)
{
	const struct typing *typing = run->analysis->typing;
	uint64_t count = 0;

	for (uint32_t i = 0; i < typing_label_count(typing); i++) {
		const struct label_count *live = typing_label_live(typing, i);
		if (live->objects && pick(context, live->first))
			count += live->objects;
	}
	return count;
}

struct type_search {
	const struct typing *typing;
	struct typed_objects *out;
};

static bool type_pick(void *context, object_id object)
{
	const struct type_search *search = context;
	struct object_type type;

	typing_of(search->typing, object, &type);
	return type.type == search->out->type;
}

static struct error *type_visit(void *context, object_id object)
{
	const struct type_search *search = context;

	return hw_vector_push(&search->out->list, object) ? NULL : error_no_memory();
}

struct error *typed_objects_find(struct rule_run *run, const char *name, struct typed_objects *out)
{
	struct type_search search = {.typing = run->analysis->typing, .out = out};

	*out = (struct typed_objects){
		.type = type_by_name(typing_types(run->analysis->typing), name)};
	return out->type ? objects_each(run, type_pick, type_visit, &search) : NULL;
}

struct error *labelled_objects_find(
	struct rule_run *run, label_test *test, struct typed_objects *out)
{
	const struct analysis *analysis = run->analysis;
	const uint64_t *live = graph_reached(analysis->graph);
	uint32_t labels = typing_label_count(analysis->typing);
	_cleanup_free_ bool *wanted = calloc((size_t)labels + 1, sizeof(*wanted));
	bool any = false;

	*out = (struct typed_objects){0};
	if (!wanted)
		return error_no_memory();
	for (uint32_t i = 0; i < labels; i++)
		any |= wanted[i] = test(typing_label_name(analysis->typing, i));
	for (object_id id = 0; any && id < analysis->heap->object_count; id++) {
		if (!heap_bit(live, id) || !wanted[typing_label_of(analysis->typing, id)])
			continue;
		if (!hw_vector_push(&out->list, id)) {
			typed_objects_deinit(out);
			return error_no_memory();
		}
	}
	return NULL;
}

void typed_objects_deinit(struct typed_objects *objects)
{
	hw_vector_deinit(&objects->list);
}

// The objects below one in the dominator tree, and those of them that can still be reached.
struct cut {
	struct graph *graph;
	struct hw_map inside; // object -> whether it was reached
	HW_VECTOR(node_id) pending;
	bool no_memory;
};

static void cut_deinit(struct cut *cut)
{
	hw_map_deinit(&cut->inside);
	hw_vector_deinit(&cut->pending);
}

static bool cut_enter(void *context, node_id node)
{
	struct cut *cut = context;

	cut->no_memory =
		!hw_map_put(&cut->inside, node, false) || !hw_vector_push(&cut->pending, node);
	return !cut->no_memory;
}

static bool cut_reach(void *context, node_id node)
{
	struct cut *cut = context;
	uint64_t reached;

	if (!hw_map_get(&cut->inside, node, &reached) || reached)
		return true;
	cut->no_memory =
		!hw_map_put(&cut->inside, node, true) || !hw_vector_push(&cut->pending, node);
	return !cut->no_memory;
}

struct error *retained_without(struct rule_run *run, node_id object, const node_id *kept,
	size_t kept_count, struct retained_part *out)
{
	struct graph *graph = run->analysis->graph;
	_cleanup_(cut_deinit) struct cut cut = {.graph = graph};

	*out = (struct retained_part){0};
	if (graph_retained_count(graph, object) > RETAINED_MAX)
		return NULL;
	hw_map_init(&cut.inside);
	graph_dominated(graph, object, cut_enter, &cut);
	while (cut.pending.count && !cut.no_memory)
		graph_dominated(graph, cut.pending.items[--cut.pending.count], cut_enter, &cut);
	for (size_t i = 0; i < kept_count && !cut.no_memory; i++)
		cut_reach(&cut, kept[i]);
	while (cut.pending.count && !cut.no_memory)
		graph_successors(graph, cut.pending.items[--cut.pending.count], cut_reach, &cut);
	if (cut.no_memory)
		return error_no_memory();
	hw_map_each (&cut.inside, entry) {
		if (!entry->value) {
			out->bytes += heap_size(run->analysis->heap, (object_id)entry->key);
			out->objects++;
		}
	}
	return NULL;
}
