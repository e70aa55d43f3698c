// The nodes of a closure's use are found in the closure at hand, pointer by pointer. What is reached through nodes that are
// seen whole, or through pointers that lie where the code looks, is kept; of the nodes that are seen in part, a copy.
#include "rules/closure_needs.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "rules/objects.h"

enum { ABOVE_MAX = 16 };

// Where the pointer of a node leads in one closure.
struct place {
	remote_addr address;
	object_id object; // OBJECT_NONE: nowhere
	uint64_t
		element; // bytes of the elements that the pointer is known to lead to; 0: not known
	uint64_t seen;   // bytes of it that are looked at
};

struct measuring {
	struct closure_needs *needs;
	const struct closure_use *use;
	struct place places[USE_NODES_MAX];
	HW_VECTOR(node_id) kept;
	bool no_memory;
};

struct error *closure_needs_init(struct closure_needs *needs, struct rule_run *run)
{
	*needs = (struct closure_needs){.run = run};
	struct error *err = heap_reader_create(run->analysis->heap, &needs->reader);
	return err ? err : closure_uses_create(run->analysis->runtime, &needs->uses);
}

void closure_needs_deinit(struct closure_needs *needs)
{
	heap_reader_destroy(needs->reader);
	closure_uses_destroy(needs->uses);
}

// ---- which func it is

struct word_search {
	remote_addr wanted;
	uint64_t offset; // from the slot; UINT64_MAX: not found
};

static bool word_look(void *context, const struct word_group *group)
{
	struct word_search *search = context;

	for (uint64_t bits = group->pointers; bits; bits &= bits - 1) {
		unsigned i = (unsigned)__builtin_ctzll(bits);
		if (group->words[i] == search->wanted) {
			search->offset = group->offset + 8 * i;
			return false;
		}
	}
	return true;
}

// The type of the word at `address` of a live object; NULL when it is not known.
static const struct go_type *word_type(
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

// The type of the func value that the closure is, by what refers to it.
static const struct go_type *closure_type(const struct closure_needs *needs, object_id closure)
{
	const struct analysis *analysis = needs->run->analysis;
	struct type_table *types = typing_types(analysis->typing);
	node_id parent = graph_parent(analysis->graph, closure);
	struct word_search search = {heap_address(analysis->heap, closure), UINT64_MAX};
	uint64_t first = 0;

	if (parent >= analysis->heap->object_count)
		return NULL;
	heap_scan_object(needs->reader, parent, word_look, &search);
	if (search.offset == UINT64_MAX)
		return NULL;
	remote_addr word = heap_address(analysis->heap, parent) + search.offset;
	const struct go_type *type = word_type(analysis, parent, word);
	if (!type || type->kind != GO_INTERFACE)
		return type;
	if (!heap_read(needs->reader, word - 8, &first, sizeof(first)))
		return NULL;
	return type->empty_interface ? type_by_address(types, first) : type_of_itab(types, first);
}

static unsigned closure_results(const struct closure_needs *needs, object_id closure)
{
	const struct analysis *analysis = needs->run->analysis;
	const struct go_type *type = closure_type(needs, closure);

	return type ? func_result_registers(
			      typing_types(analysis->typing), &analysis->runtime->memory, type)
		    : USE_RESULTS_MAX;
}

// ---- what it keeps

static void keep(struct measuring *measuring, object_id object)
{
	if (object != OBJECT_NONE && !hw_vector_push(&measuring->kept, object))
		measuring->no_memory = true;
}

struct stretch {
	struct measuring *measuring;
	uint64_t start, end; // from the slot
};

static bool stretch_keep(void *context, const struct word_group *group)
{
	const struct stretch *stretch = context;
	const struct heap *heap = stretch->measuring->needs->run->analysis->heap;

	for (uint64_t bits = group->pointers; bits; bits &= bits - 1) {
		unsigned i = (unsigned)__builtin_ctzll(bits);
		uint64_t offset = group->offset + 8 * i;
		if (offset + 8 > stretch->start && offset < stretch->end)
			keep(stretch->measuring, heap_find(heap, group->words[i]));
	}
	return !stretch->measuring->no_memory;
}

static void place_find(struct measuring *measuring, uint32_t index)
{
	const struct analysis *analysis = measuring->needs->run->analysis;
	const struct use_node *node = &measuring->use->nodes[index];
	const struct place *parent = &measuring->places[node->parent];
	struct place *place = &measuring->places[index];
	remote_addr word = parent->address + node->word;

	*place = (struct place){.object = OBJECT_NONE};
	if (parent->object == OBJECT_NONE || heap_find(analysis->heap, word) != parent->object ||
		!heap_read(measuring->needs->reader, word, &place->address, sizeof(place->address)))
		return;
	place->object = heap_find(analysis->heap, place->address);
	const struct go_type *type = word_type(analysis, parent->object, word);
	if (type && type->kind == GO_SLICE && type->elem)
		place->element = type->elem->size;
	else if (type && type->kind == GO_STRING)
		place->element = 1;
}

static void place_look(struct measuring *measuring, uint32_t index)
{
	const struct heap *heap = measuring->needs->run->analysis->heap;
	const struct use_node *node = &measuring->use->nodes[index];
	struct place *place = &measuring->places[index];
	bool whole = node->whole;

	if (place->object == OBJECT_NONE)
		return;
	for (uint32_t i = 0; i < node->window_count && !whole; i++) {
		const struct use_window *window = &node->windows[i];
		uint64_t bytes = window->count * (window->elements ? place->element : 1);
		struct stretch stretch = {.measuring = measuring,
			.start = place->address - heap_address(heap, place->object) +
				 window->offset};
		stretch.end = stretch.start + bytes;
		whole = !bytes;
		place->seen += bytes;
		if (window->opaque)
			heap_scan_object(
				measuring->needs->reader, place->object, stretch_keep, &stretch);
	}
	if (whole)
		keep(measuring, place->object);
	if (whole) // no copy of a part
		place->object = OBJECT_NONE;
}

static bool is_below(struct graph *graph, node_id node, node_id above)
{
	for (unsigned i = 0; i < ABOVE_MAX && node != NODE_NONE; i++) {
		if (node == above)
			return true;
		node = graph_dominator(graph, node);
	}
	return false;
}

// What copies of the parts that are looked at would take.
static uint64_t copies_bytes(const struct measuring *measuring, object_id closure)
{
	const struct analysis *analysis = measuring->needs->run->analysis;
	uint64_t bytes = 0;

	for (uint32_t i = 1; i < measuring->use->count; i++) {
		const struct place *place = &measuring->places[i];
		if (place->object == OBJECT_NONE || place->object == closure ||
			!is_below(analysis->graph, place->object, closure))
			continue;
		const struct span *span = heap_span_of(analysis->heap, place->object);
		uint64_t copy = slot_bytes(analysis->heap, place->seen, span->noscan);
		bytes += copy < span->elem_size ? copy : span->elem_size;
	}
	return bytes;
}

struct error *closure_unneeded(struct closure_needs *needs, object_id closure, uint64_t *out)
{
	struct analysis *analysis = needs->run->analysis;
	remote_addr start = heap_address(analysis->heap, closure) +
			    heap_span_of(analysis->heap, closure)->header_bytes;
	struct measuring measuring = {.needs = needs};
	struct retained_part part = {0};
	uint64_t code = 0;

	*out = 0;
	if (!heap_read(needs->reader, start, &code, sizeof(code)))
		return NULL;
	struct error *err = closure_use_find(
		needs->uses, code, closure_results(needs, closure), &measuring.use);
	if (err || !measuring.use || measuring.use->nodes[0].whole)
		return err;
	measuring.places[0] = (struct place){.address = start, .object = closure};
	for (uint32_t i = 1; i < measuring.use->count; i++)
		place_find(&measuring, i);
	for (uint32_t i = 0; i < measuring.use->count; i++)
		place_look(&measuring, i);
	if (measuring.no_memory)
		err = error_no_memory();
	else
		err = retained_without(
			needs->run, closure, measuring.kept.items, measuring.kept.count, &part);
	hw_vector_deinit(&measuring.kept);
	uint64_t copies = copies_bytes(&measuring, closure);
	if (!err && part.bytes > copies)
		*out = part.bytes - copies;
	return err;
}
