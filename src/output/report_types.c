// Types of a report: a histogram of what is alive.
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "output/clean.h"
#include "output/report_parts.h"

static uint32_t object_label(void *context, object_id object)
{
	return typing_label_of(context, object);
}

static int compare_types(const void *a, const void *b)
{
	const struct report_type *one = a, *other = b;

	if (one->bytes != other->bytes)
		return one->bytes < other->bytes ? 1 : -1;
	return strcmp(one->name, other->name);
}

// Objects and bytes by label; `types` has an element a label.
static void count_types(const struct analysis *analysis, struct report_type *types)
{
	const uint64_t *reached = graph_reached(analysis->graph);

	for (uint32_t s = 0; s < analysis->heap->span_count; s++) {
		const struct span *span = &analysis->heap->spans[s];
		for (uint32_t i = 0; i < span->count; i++) {
			if (!heap_bit(reached, span->first + i))
				continue;
			struct report_type *type =
				&types[typing_label_of(analysis->typing, span->first + i)];
			type->objects++;
			type->bytes += span->elem_size;
		}
	}
}

struct error *report_types(struct report *report, struct analysis *analysis)
{
	uint32_t labels = typing_label_count(analysis->typing);
	_cleanup_free_ uint64_t *retained = calloc((size_t)labels + 1, sizeof(*retained));
	struct report_type *types = hw_arena_calloc(&report->arena, labels, sizeof(*types));

	if (!retained || !types)
		return error_no_memory();
	struct error *err = graph_retained_by_label(
		analysis->graph, object_label, analysis->typing, labels, retained);
	if (err)
		return err;
	count_types(analysis, types);
	report->types = types;
	for (uint32_t i = 0; i < labels; i++) {
		enum type_source source = typing_label_source(analysis->typing, i);
		struct report_type *type = &types[report->type_count];
		if (!types[i].objects)
			continue;
		*type = types[i];
		type->name = clean_string(&report->arena, typing_label_name(analysis->typing, i));
		type->retained_bytes = retained[i];
		type->guessed = source == TYPED_GUESS;
		type->untyped = source == TYPED_NOT;
		if (!type->name)
			return error_no_memory();
		report->type_count++;
	}
	qsort(types, report->type_count, sizeof(*types), compare_types);
	return NULL;
}
