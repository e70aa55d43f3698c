// Types of a report: a histogram of what is alive.
//
// What the objects of a type retain takes a walk over everything, which needs nothing but what no longer changes: it has
// a thread of its own while the rules run.
#include <pthread.h>
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

struct type_counting {
	struct analysis *analysis;
	uint64_t *retained; // by label
	struct error *err;
	pthread_t thread;
	bool started;
};

static void *counting_run(void *context)
{
	struct type_counting *counting = context;
	const struct typing *typing = counting->analysis->typing;
	uint32_t labels = typing_label_count(typing);

	counting->retained = calloc((size_t)labels + 1, sizeof(*counting->retained));
	counting->err = counting->retained
				? graph_retained_by_label(counting->analysis->graph, object_label,
					  counting->analysis->typing, labels, counting->retained)
				: error_no_memory();
	return NULL;
}

struct type_counting *type_counting_start(struct analysis *analysis)
{
	struct type_counting *counting = calloc(1, sizeof(*counting));

	if (!counting)
		return NULL;
	counting->analysis = analysis;
	counting->started = analysis->threads > 1 &&
			    !pthread_create(&counting->thread, NULL, counting_run, counting);
	return counting;
}

static struct error *type_counting_finish(struct type_counting *counting)
{
	if (counting->started)
		pthread_join(counting->thread, NULL);
	else
		counting_run(counting);
	counting->started = false;
	return take_pointer(counting->err);
}

void type_counting_destroy(struct type_counting *counting)
{
	if (!counting)
		return;
	if (counting->started)
		pthread_join(counting->thread, NULL);
	error_destroy(counting->err);
	free(counting->retained);
	free(counting);
}

struct error *report_types(
	struct report *report, const struct analysis *analysis, struct type_counting *counting)
{
	uint32_t labels = typing_label_count(analysis->typing);
	struct error *err = type_counting_finish(counting);

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
