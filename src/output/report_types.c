// Types of a report: a histogram of what is alive.
//
// What the objects of a type retain takes a walk over everything, which needs nothing but what no longer changes: it has
// a thread of its own while the rules run.
#include <stdlib.h>
#include <string.h>

#include "base/beside.h"
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

struct type_counting {
	struct analysis *analysis;
	uint64_t *retained; // by label
	struct beside work;
};

static struct error *count(void *context)
{
	struct type_counting *counting = context;
	struct typing *typing = counting->analysis->typing;
	uint32_t labels = typing_label_count(typing);

	counting->retained = calloc((size_t)labels + 1, sizeof(*counting->retained));
	return counting->retained ? graph_retained_by_label(counting->analysis->graph, object_label,
					    typing, labels, counting->retained)
				  : error_no_memory();
}

struct type_counting *type_counting_start(struct analysis *analysis)
{
	struct type_counting *counting = calloc(1, sizeof(*counting));

	if (!counting)
		return NULL;
	counting->analysis = analysis;
	counting->work = (struct beside){.run = count, .context = counting};
	beside_start(&counting->work, analysis->threads > 1);
	return counting;
}

void type_counting_destroy(struct type_counting *counting)
{
	if (!counting)
		return;
	if (counting->work.started)
		error_destroy(beside_finish(&counting->work, NULL));
	free(counting->retained);
	free(counting);
}

struct error *report_types(
	struct report *report, const struct analysis *analysis, struct type_counting *counting)
{
	uint32_t labels = typing_label_count(analysis->typing);
	struct error *err = beside_finish(&counting->work, NULL);

	if (err)
		return err;
	report->types = hw_arena_calloc(&report->arena, labels, sizeof(*report->types));
	if (!report->types)
		return error_no_memory();
	for (uint32_t i = 0; i < labels; i++) {
		enum type_source source = typing_label_source(analysis->typing, i);
		const struct label_count *live = typing_label_live(analysis->typing, i);
		struct report_type *type = &report->types[report->type_count];
		if (!live->objects)
			continue;
		*type = (struct report_type){
			.name = clean_string(
				&report->arena, typing_label_name(analysis->typing, i)),
			.objects = live->objects,
			.bytes = live->bytes,
			.retained_bytes = counting->retained[i],
			.guessed = source == TYPED_GUESS,
			.untyped = source == TYPED_NOT,
		};
		if (!type->name)
			return error_no_memory();
		report->type_count++;
	}
	qsort(report->types, report->type_count, sizeof(*report->types), compare_types);
	return NULL;
}
