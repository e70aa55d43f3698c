// Types of a report: a histogram of what is alive.
//
// Counting is a walk over everything and needs nothing but what no longer changes: it has a thread of its own while the
// rules run.
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

struct type_count {
	uint64_t objects, bytes, retained; // of a label
};

struct type_counting {
	struct analysis *analysis;
	struct type_count *counts; // by label
	struct error *err;
	pthread_t thread;
	bool started;
};

static void count_objects(const struct analysis *analysis, struct type_count *counts)
{
	const uint64_t *reached = graph_reached(analysis->graph);

	for (uint32_t s = 0; s < analysis->heap->span_count; s++) {
		const struct span *span = &analysis->heap->spans[s];
		for (uint32_t i = 0; i < span->count; i++) {
			if (!heap_bit(reached, span->first + i))
				continue;
			struct type_count *count =
				&counts[typing_label_of(analysis->typing, span->first + i)];
			count->objects++;
			count->bytes += span->elem_size;
		}
	}
}

static void *counting_run(void *context)
{
	struct type_counting *counting = context;
	struct analysis *analysis = counting->analysis;
	uint32_t labels = typing_label_count(analysis->typing);
	_cleanup_free_ uint64_t *retained = calloc((size_t)labels + 1, sizeof(*retained));

	counting->counts = calloc((size_t)labels + 1, sizeof(*counting->counts));
	if (!retained || !counting->counts) {
		counting->err = error_no_memory();
		return NULL;
	}
	count_objects(analysis, counting->counts);
	counting->err = graph_retained_by_label(
		analysis->graph, object_label, analysis->typing, labels, retained);
	for (uint32_t i = 0; i < labels; i++)
		counting->counts[i].retained = retained[i];
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
	free(counting->counts);
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
		struct report_type *type = &report->types[report->type_count];
		if (!counting->counts[i].objects)
			continue;
		*type = (struct report_type){
			.name = clean_string(
				&report->arena, typing_label_name(analysis->typing, i)),
			.objects = counting->counts[i].objects,
			.bytes = counting->counts[i].bytes,
			.retained_bytes = counting->counts[i].retained,
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
