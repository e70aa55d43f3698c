// See used_objects.h. The nodes of the use are found in the objects at hand, pointer by pointer.
#include "rules/used_objects.h"

#include "base/error.h"
#include "rules/objects.h"

static void keep(struct used_objects *used, object_id object)
{
	if (object != OBJECT_NONE && !hw_vector_push(&used->kept, object))
		used->no_memory = true;
}

struct stretch {
	struct used_objects *used;
	uint64_t start, end; // from the slot
};

static bool stretch_keep(void *context, const struct word_group *group)
{
	const struct stretch *stretch = context;
	const struct heap *heap = stretch->used->run->analysis->heap;

	for (uint64_t bits = group->pointers; bits; bits &= bits - 1) {
		unsigned i = (unsigned)__builtin_ctzll(bits);
		uint64_t offset = group->offset + 8 * i;
		if (offset + 8 > stretch->start && offset < stretch->end)
			keep(stretch->used, heap_find(heap, group->words[i]));
	}
	return !stretch->used->no_memory;
}

static void place_find(struct used_objects *used, uint32_t index)
{
	const struct analysis *analysis = used->run->analysis;
	const struct use_node *node = &used->use->nodes[index];
	const struct used_place *parent = &used->places[node->parent];
	struct used_place *place = &used->places[index];
	remote_addr word = parent->address + node->word;

	*place = (struct used_place){.object = OBJECT_NONE};
	if (parent->object == OBJECT_NONE || heap_find(analysis->heap, word) != parent->object ||
		!heap_read(used->reader, word, &place->address, sizeof(place->address)))
		return;
	place->object = heap_find(analysis->heap, place->address);
	const struct go_type *type = object_word_type(analysis, parent->object, word);
	if (type && type->kind == GO_SLICE && type->elem)
		place->element = type->elem->size;
	else if (type && type->kind == GO_STRING)
		place->element = 1;
}

static void place_look(struct used_objects *used, uint32_t index)
{
	const struct heap *heap = used->run->analysis->heap;
	const struct use_node *node = &used->use->nodes[index];
	struct used_place *place = &used->places[index];
	bool whole = node->whole;

	if (place->object == OBJECT_NONE)
		return;
	for (uint32_t i = 0; i < node->window_count && !whole; i++) {
		const struct use_window *window = &node->windows[i];
		uint64_t bytes = window->count * (window->elements ? place->element : 1);
		struct stretch stretch = {.used = used,
			.start = place->address - heap_address(heap, place->object) +
				 window->offset};
		stretch.end = stretch.start + bytes;
		whole = !bytes;
		place->seen += bytes;
		if (window->opaque)
			heap_scan_object(used->reader, place->object, stretch_keep, &stretch);
	}
	if (whole)
		keep(used, place->object);
	if (whole) // no copy of a part
		place->object = OBJECT_NONE;
}

struct error *used_objects_find(struct rule_run *run, struct heap_reader *reader,
	const struct code_use *use, const remote_addr *first, struct used_objects *out)
{
	*out = (struct used_objects){.run = run, .reader = reader, .use = use};
	for (uint32_t i = 0; i < use->first; i++)
		out->places[i] = (struct used_place){
			.address = first[i], .object = heap_find(run->analysis->heap, first[i])};
	for (uint32_t i = use->first; i < use->count; i++)
		place_find(out, i);
	for (uint32_t i = 0; i < use->count; i++)
		place_look(out, i);
	return out->no_memory ? error_no_memory() : NULL;
}

void used_objects_deinit(struct used_objects *used)
{
	hw_vector_deinit(&used->kept);
}
