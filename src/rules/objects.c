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

// Which labels are chosen, and how many objects have them.
struct choice {
	bool *chosen;    // by label
	uint64_t near;   // as typing_labels_near() tells them
	object_id first; // the first object that has one
	uint64_t objects;
};

static void choice_add(struct choice *choice, const struct typing *typing, uint32_t label)
{
	const struct label_count *live = typing_label_live(typing, label);

	choice->chosen[label] = true;
	choice->near |= UINT64_C(1) << label % 64;
	if (!choice->objects || live->first < choice->first)
		choice->first = live->first;
	choice->objects += live->objects;
}

// Visits the objects of the chosen labels, ascending. Most of the heap is passed over in pieces of 64.
static struct error *choice_walk(
	const struct choice *choice, const struct rule_run *run, object_visit *visit, void *context)
{
	const struct typing *typing = run->analysis->typing;
	const uint64_t *live = graph_reached(run->analysis->graph);
	object_id count = run->analysis->heap->object_count;
	uint64_t left = choice->objects;

	for (uint64_t start = choice->first & ~63u; left && start < count; start += 64) {
		if (!(typing_labels_near(typing, (object_id)start) & choice->near))
			continue;
		for (uint64_t bits = live[start / 64]; bits && left; bits &= bits - 1) {
			object_id id = (object_id)start + (object_id)__builtin_ctzll(bits);
			if (id >= count || !choice->chosen[typing_label_of(typing, id)])
				continue;
			left--;
			struct error *err = visit(context, id);
			if (err)
				return err;
		}
	}
	return NULL;
}

struct error *objects_each(
	struct rule_run *run, object_pick *pick, object_visit *visit, void *context)
{
	const struct typing *typing = run->analysis->typing;
	uint32_t labels = typing_label_count(typing);
	_cleanup_free_ bool *chosen = calloc((size_t)labels + 1, sizeof(*chosen));
	struct choice choice = {.chosen = chosen};

	if (!chosen)
		return error_no_memory();
	for (uint32_t i = 0; i < labels; i++) {
		const struct label_count *live = typing_label_live(typing, i);
		if (live->objects && pick(context, live->first))
			choice_add(&choice, typing, i);
	}
	return choice_walk(&choice, run, visit, context);
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

static struct error *search_visit(void *context, object_id object)
{
	const struct type_search *search = context;

	return hw_vector_push(&search->out->list, object) ? NULL : error_no_memory();
}

static bool type_pick(void *context, object_id object)
{
	const struct type_search *search = context;
	struct object_type type;

	typing_of(search->typing, object, &type);
	return type.type == search->out->type;
}

struct error *typed_objects_find(struct rule_run *run, const char *name, struct typed_objects *out)
{
	struct type_search search = {.typing = run->analysis->typing, .out = out};

	*out = (struct typed_objects){
		.type = type_by_name(typing_types(run->analysis->typing), name)};
	return out->type ? objects_each(run, type_pick, search_visit, &search) : NULL;
}

struct error *labelled_objects_find(
	struct rule_run *run, label_test *test, struct typed_objects *out)
{
	const struct typing *typing = run->analysis->typing;
	uint32_t labels = typing_label_count(typing);
	_cleanup_free_ bool *chosen = calloc((size_t)labels + 1, sizeof(*chosen));
	struct type_search search = {.typing = typing, .out = out};
	struct choice choice = {.chosen = chosen};

	*out = (struct typed_objects){0};
	if (!chosen)
		return error_no_memory();
	for (uint32_t i = 0; i < labels; i++)
		if (test(typing_label_name(typing, i)))
			choice_add(&choice, typing, i);
	struct error *err = choice_walk(&choice, run, search_visit, &search);
	if (err)
		typed_objects_deinit(out);
	return err;
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

const struct go_type *object_word_type(
	const struct analysis *analysis, object_id object, remote_addr address)
{
	const struct span *span = heap_span_of(analysis->heap, object);
	uint64_t offset = address - span_object(span, object) - span->header_bytes;
	struct object_type type;

	typing_of(analysis->typing, object, &type);
	if (type.source != TYPED_EXACT || !type.type->size)
		return NULL;
	return type_describe_offset(
		type.type, type.array ? offset % type.type->size : offset, NULL, 0);
}
