// What is reached through nodes that are seen whole, or through pointers that lie where the code looks, is kept; of the nodes
// that are seen in part, a copy.
#include "rules/closure_needs.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "rules/objects.h"
#include "rules/used_objects.h"

enum { ABOVE_MAX = 16 };

struct error *closure_needs_init(struct closure_needs *needs, struct rule_run *run)
{
	*needs = (struct closure_needs){.run = run};
	struct error *err = heap_reader_create(run->analysis->heap, &needs->reader);
	return err ? err : code_uses_create(run->analysis->runtime, &needs->uses);
}

void closure_needs_deinit(struct closure_needs *needs)
{
	heap_reader_destroy(needs->reader);
	code_uses_destroy(needs->uses);
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
	const struct go_type *type = object_word_type(analysis, parent, word);
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
static uint64_t copies_bytes(const struct used_objects *used, object_id closure)
{
	const struct analysis *analysis = used->run->analysis;
	uint64_t bytes = 0;

	for (uint32_t i = 1; i < used->use->count; i++) {
		const struct used_place *place = &used->places[i];
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
	_cleanup_(used_objects_deinit) struct used_objects used = {0};
	const struct code_use *use;
	struct retained_part part = {0};
	uint64_t code = 0;

	*out = 0;
	if (!heap_read(needs->reader, start, &code, sizeof(code)))
		return NULL;
	struct error *err =
		code_use_of_closure(needs->uses, code, closure_results(needs, closure), &use);
	if (err || !use || use->nodes[0].whole)
		return err;
	err = used_objects_find(needs->run, needs->reader, use, &start, &used);
	if (!err)
		err = retained_without(
			needs->run, closure, used.kept.items, used.kept.count, &part);
	if (err)
		return err;
	uint64_t copies = copies_bytes(&used, closure);
	if (part.bytes > copies)
		*out = part.bytes - copies;
	return NULL;
}
