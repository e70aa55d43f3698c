// removed-list-element: elements of container/list that their list knows no longer, and what they still hold.
//
// Remove clears an element's links and its list, but not its Value: whoever keeps the element keeps the value. Init
// empties the list and leaves the elements as they were, linked to each other: one that is kept keeps them all. And an
// element of a list that nothing else refers to keeps the list. The layout and all of this are the same from go 1.19 to
// 1.27 (container/list/list.go):
//
//	Element { next, prev *Element; list *List; Value any }    List { root Element; len int }
//
// A list is not judged by a goroutine's variables: a loop that needs the list no longer is on its way through the
// elements.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "goruntime/bits.h"
#include "heapwhy/map.h"
#include "rules/objects.h"
#include "rules/suspects.h"

enum { ELEMENT_BYTES = 40, LIST_BYTES = 48, LIST_LENGTH = 40, LISTS_MAX = 32 };
enum suspicion { REMOVED, FORGOTTEN, ABANDONED };

struct element {
	remote_addr next, prev, list, value_type, value;
};

struct member {
	object_id object;
	uint32_t list; // index in lists
};

struct list_record {
	remote_addr address;
	object_id object; // the list, or what it is a part of
	uint64_t length;  // as the list says
	uint64_t members; // elements that call it theirs
	bool candidate;   // may be known to its elements only
};

struct lists {
	struct rule_run *run;
	struct heap_reader *reader;
	struct suspects suspects;
	struct hw_map index; // address -> number in lists
	HW_VECTOR(struct list_record) lists;
	HW_VECTOR(struct member) members;
	uint64_t *set;
};

static void lists_deinit(struct lists *lists)
{
	heap_reader_destroy(lists->reader);
	suspects_deinit(&lists->suspects);
	hw_map_deinit(&lists->index);
	hw_vector_deinit(&lists->lists);
	hw_vector_deinit(&lists->members);
	free(lists->set);
}

static struct error *member_add(struct lists *lists, object_id object, remote_addr list)
{
	const struct heap *heap = lists->run->analysis->heap;
	uint64_t *number = hw_map_at(&lists->index, list, lists->lists.count);
	struct list_record record = {.address = list, .object = heap_find(heap, list)};

	if (!number)
		return error_no_memory();
	if (*number == lists->lists.count) {
		// A list that is a global is nobody's to lose; the others can be read.
		if (record.object != OBJECT_NONE)
			heap_read(lists->reader, list + LIST_LENGTH, &record.length,
				sizeof(record.length));
		else
			record.length = UINT64_MAX;
		if (!hw_vector_push(&lists->lists, record))
			return error_no_memory();
	}
	lists->lists.items[*number].members++;
	return hw_vector_push(&lists->members, (struct member){object, (uint32_t)*number})
		       ? NULL
		       : error_no_memory();
}

static struct error *element_look(
	struct lists *lists, object_id object, const struct element *element)
{
	struct analysis *analysis = lists->run->analysis;

	if (element->list)
		return member_add(lists, object, element->list);
	if (element->value_type && heap_find(analysis->heap, element->value) != OBJECT_NONE)
		suspects_add(&lists->suspects,
			(struct suspect){.object = object,
				.kind = REMOVED,
				.bytes = graph_retained(analysis->graph, object)});
	return NULL;
}

static struct error *elements_look(struct lists *lists, const struct typed_objects *elements)
{
	const struct heap *heap = lists->run->analysis->heap;
	struct object_type type;
	struct element element;
	struct error *err = NULL;

	for (size_t i = 0; i < elements->list.count && !err; i++) {
		object_id id = elements->list.items[i];
		const struct span *span = heap_span_of(heap, id);
		remote_addr address = span_object(span, id);
		typing_of(lists->run->analysis->typing, id, &type);
		for (uint64_t k = 0; k < typing_elements(&type, span) && !err; k++)
			if (heap_read(lists->reader, address + k * ELEMENT_BYTES, &element,
				    sizeof(element)))
				err = element_look(lists, id, &element);
	}
	return err;
}

// Walks the ring of a list and takes what is on it off the set.
static void ring_unmark(struct lists *lists, const struct list_record *list)
{
	const struct heap *heap = lists->run->analysis->heap;
	remote_addr at = list->address;

	for (uint64_t steps = 0; steps <= list->members; steps++) {
		if (!heap_read(lists->reader, at, &at, sizeof(at)) || at == list->address)
			return;
		object_id object = heap_find(heap, at);
		if (object != OBJECT_NONE)
			lists->set[object >> 6] &= ~(UINT64_C(1) << (object & 63));
	}
}

static bool in_set(const struct lists *lists, node_id node)
{
	return node < lists->run->analysis->heap->object_count && heap_bit(lists->set, node);
}

// Suspects the list's elements: all of them, or those that are on its ring no more. One stands for them, which somebody
// else refers to.
static struct error *list_suspect(struct lists *lists, uint32_t number, enum suspicion suspicion)
{
	struct analysis *analysis = lists->run->analysis;
	const struct list_record *list = &lists->lists.items[number];
	struct suspect suspect = {.object = NODE_NONE, .kind = suspicion};
	uint64_t objects;

	memset(lists->set, 0, bits_words(analysis->heap->object_count) * sizeof(uint64_t));
	for (size_t i = 0; i < lists->members.count; i++) {
		object_id object = lists->members.items[i].object;
		if (lists->members.items[i].list == number)
			lists->set[object >> 6] |= UINT64_C(1) << (object & 63);
	}
	if (suspicion == FORGOTTEN)
		ring_unmark(lists, list);
	for (size_t i = 0; i < lists->members.count && suspect.object == NODE_NONE; i++) {
		object_id object = lists->members.items[i].object;
		node_id parent = graph_parent(analysis->graph, object);
		if (in_set(lists, object) && !in_set(lists, parent) && parent != list->object)
			suspect.object = object;
	}
	if (suspect.object == NODE_NONE)
		return NULL;
	struct error *err =
		graph_retained_set(analysis->graph, lists->set, &suspect.bytes, &objects);
	if (!err)
		suspects_add(&lists->suspects, suspect);
	return err;
}

// Walking everything that is alive, but not from an element to its list.
struct walk {
	struct lists *lists;
	struct hw_map list_of; // element of a candidate -> the list's object
	uint64_t *seen;
	HW_VECTOR(node_id) pending;
	uint64_t hidden; // the list's object of the element that is being left; UINT64_MAX: none
	bool no_memory;
};

static void walk_deinit(struct walk *walk)
{
	hw_map_deinit(&walk->list_of);
	hw_vector_deinit(&walk->pending);
	free(walk->seen);
}

static bool walk_enter(void *context, node_id node)
{
	struct walk *walk = context;
	uint64_t bit = UINT64_C(1) << (node & 63);

	if (node == walk->hidden || walk->seen[node >> 6] & bit)
		return true;
	walk->seen[node >> 6] |= bit;
	walk->no_memory = !hw_vector_push(&walk->pending, node);
	return !walk->no_memory;
}

static struct error *walk_run(struct walk *walk)
{
	struct graph *graph = walk->lists->run->analysis->graph;

	walk->hidden = UINT64_MAX;
	walk_enter(walk, graph_root_node(graph));
	while (walk->pending.count && !walk->no_memory) {
		node_id node = walk->pending.items[--walk->pending.count];
		walk->hidden = UINT64_MAX;
		hw_map_get(&walk->list_of, node, &walk->hidden);
		graph_successors(graph, node, walk_enter, walk);
	}
	return walk->no_memory ? error_no_memory() : NULL;
}

// Only a list whose shortest path from a root comes through one of its elements can be known to these alone.
static size_t candidates_find(struct lists *lists)
{
	struct graph *graph = lists->run->analysis->graph;
	size_t count = 0;

	for (size_t i = 0; i < lists->members.count; i++) {
		struct list_record *list = &lists->lists.items[lists->members.items[i].list];
		if (list->object == OBJECT_NONE || list->candidate ||
			graph_parent(graph, list->object) != lists->members.items[i].object)
			continue;
		list->candidate = true;
		count++;
	}
	return count;
}

// Candidates that are known to somebody else are none any more.
static struct error *candidates_confirm(struct lists *lists)
{
	struct graph *graph = lists->run->analysis->graph;
	_cleanup_(walk_deinit) struct walk walk = {.lists = lists};
	bool done = true;

	hw_map_init(&walk.list_of);
	walk.seen = calloc(bits_words((uint64_t)graph_root_node(graph) + 1), sizeof(uint64_t));
	for (size_t i = 0; i < lists->members.count && done; i++) {
		const struct member *member = &lists->members.items[i];
		const struct list_record *list = &lists->lists.items[member->list];
		done = !list->candidate || hw_map_put(&walk.list_of, member->object, list->object);
	}
	if (!walk.seen || !done)
		return error_no_memory();
	struct error *err = walk_run(&walk);
	for (size_t i = 0; i < lists->lists.count && !err; i++) {
		struct list_record *list = &lists->lists.items[i];
		if (list->candidate)
			list->candidate = !heap_bit(walk.seen, list->object);
	}
	return err;
}

static struct error *lists_look(struct lists *lists)
{
	struct error *err = NULL;
	unsigned suspected = 0;

	if (candidates_find(lists))
		err = candidates_confirm(lists);
	for (uint32_t i = 0; i < lists->lists.count && !err && suspected < LISTS_MAX; i++) {
		const struct list_record *list = &lists->lists.items[i];
		if (!list->candidate && list->members <= list->length)
			continue;
		err = list_suspect(lists, i, list->candidate ? ABANDONED : FORGOTTEN);
		suspected++;
	}
	return err;
}

static struct error *group_report(struct lists *lists, const struct suspect_group *group)
{
	// Elements that were removed, or lists.
	static const char *const what[] = {
		[REMOVED] = "%s elements removed from their lists keep their values",
		[FORGOTTEN] = "the elements of %s lists stay linked to each other though Init has "
			      "emptied the lists",
		[ABANDONED] =
			"elements keep %s lists that nothing else refers to, and all their values",
	};
	static const char *const remedies[] = {
		[REMOVED] = "set the element's Value to nil after Remove, or drop the element",
		[FORGOTTEN] = "drop the element, or Remove the elements one by one instead of "
			      "calling Init",
		[ABANDONED] = "drop the element: keep its Value where only that is needed",
	};
	const struct suspect *largest = group->example;
	char count[24];
	struct finding finding = {
		.bytes = group->bytes,
		.objects = group->count,
		.type = "list.Element",
		.proven = true,
		.what = finding_text(lists->run, what[largest->kind],
			format_count(count, sizeof(count), group->count)),
		.remedy = remedies[largest->kind],
		.remedy_bytes = group->bytes,
		.condition = "",
		.subject = largest->object,
		.goroutine = UINT32_MAX,
	};

	return finding_add(lists->run, &finding);
}

// Elements that a goroutine's variables refer to are in use; those that something in a goroutine's hands keeps are not.
static bool is_variables(const struct analysis *analysis, const struct suspect *element)
{
	if (graph_parent(analysis->graph, element->object) < analysis->heap->object_count)
		return false;
	for (uint32_t i = 0; i < analysis->holder_count; i++)
		if (analysis->holders[i].node == element->keeper)
			return analysis->holders[i].kind == HOLDER_GOROUTINE;
	return false;
}

struct error *rule_removed_list_element(struct rule_run *run)
{
	_cleanup_(lists_deinit) struct lists lists = {.run = run};
	_cleanup_(typed_objects_deinit) struct typed_objects elements = {0};
	struct error *err = typed_objects_find(run, "container/list.Element", &elements);

	hw_map_init(&lists.index);
	if (err || !elements.list.count || elements.type->size != ELEMENT_BYTES)
		return err;
	lists.set = calloc(bits_words(run->analysis->heap->object_count), sizeof(uint64_t));
	if (!lists.set)
		return error_no_memory();
	err = heap_reader_create(run->analysis->heap, &lists.reader);
	if (!err)
		err = elements_look(&lists, &elements);
	if (!err)
		err = lists_look(&lists);
	if (!err)
		err = suspects_group(&lists.suspects, run);
	for (size_t i = 0; i < lists.suspects.groups.count && !err; i++) {
		const struct suspect_group *group = &lists.suspects.groups.items[i];
		if (!is_variables(run->analysis, group->example))
			err = group_report(&lists, group);
	}
	return err;
}
