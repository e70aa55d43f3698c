// Goroutines of a report: groups, their stacks and creators.
#include <stdlib.h>

#include "base/error.h"
#include "debuginfo/pclntab.h"
#include "goruntime/positions.h"
#include "output/clean.h"
#include "output/holder_names.h"
#include "output/report_parts.h"

enum { FRAMES_MAX = 128 }; // of one stack, inlined calls included

static bool build_frame(
	struct report *report, const struct pcln_position *position, struct report_frame *out)
{
	out->function = clean_string(&report->arena, position->function);
	out->file = clean_string(&report->arena, position->file);
	out->line = position->line;
	return out->function && out->file;
}

// The go statement that made it. gopc is a return address, so the call lies before it.
static bool build_creator(struct report *report, const struct analysis *analysis,
	const struct goroutine *goroutine, struct report_frame *out)
{
	struct pcln_position position = {.function = "", .file = ""};
	const struct go_module *module;
	struct pcln_function function;

	// The first one was made before there were go statements.
	if (goroutine->created_at && goroutine->id != 1 &&
		go_find_function(
			analysis->runtime, goroutine->created_at - 1, &module, &function) &&
		!pclntab_positions(
			module->pclntab, &function, goroutine->created_at - 1, &position, 1))
		position.function = function.name;
	return build_frame(report, &position, out);
}

bool report_stack(struct report *report, const struct analysis *analysis,
	const struct goroutine *goroutine, struct report_stack *out)
{
	struct pcln_position positions[FRAMES_MAX];
	size_t count = 0;

	for (uint32_t i = 0; i < goroutine->frame_count && count < FRAMES_MAX; i++)
		count += frame_positions(analysis->runtime,
			&analysis->goroutines->frames[goroutine->first_frame + i],
			positions + count, FRAMES_MAX - count);
	out->frames = hw_arena_calloc(&report->arena, count, sizeof(*out->frames));
	if (!out->frames)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!build_frame(report, &positions[i], &out->frames[i]))
			return false;
	out->count = (uint32_t)count;
	return build_creator(report, analysis, goroutine, &out->created_by);
}

static int compare_goroutines(const void *a, const void *b)
{
	const struct report_goroutines *one = a, *other = b;

	if (one->retained_bytes != other->retained_bytes)
		return one->retained_bytes < other->retained_bytes ? 1 : -1;
	if (one->count != other->count)
		return one->count < other->count ? 1 : -1;
	return one->first_id < other->first_id ? -1 : one->first_id > other->first_id;
}

struct error *report_goroutines(struct report *report, struct analysis *analysis)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < analysis->goroutines->count; i++)
		report->goroutine_count += !analysis->goroutines->goroutines[i].system;
	for (uint32_t i = 0; i < analysis->holder_count; i++)
		count += analysis->holders[i].kind == HOLDER_GOROUTINE;
	report->goroutines = hw_arena_calloc(&report->arena, count, sizeof(*report->goroutines));
	if (!report->goroutines)
		return error_no_memory();
	for (uint32_t i = 0; i < analysis->holder_count; i++) {
		const struct holder *holder = &analysis->holders[i];
		struct report_goroutines *out = &report->goroutines[report->goroutines_count];
		if (holder->kind != HOLDER_GOROUTINE)
			continue;
		const struct goroutine *first =
			&analysis->goroutines->goroutines[holder->first_goroutine];
		*out = (struct report_goroutines){
			.state = clean_string(&report->arena, first->wait_reason),
			.count = holder->goroutines,
			.retained_bytes = graph_retained(analysis->graph, holder->node),
			.longest_wait_ns = holder->longest_wait_ns,
			.first_id = first->id,
			.system = first->system,
		};
		if (!out->state || !report_stack(report, analysis, first, &out->stack))
			return error_no_memory();
		report->goroutines_count++;
	}
	qsort(report->goroutines, report->goroutines_count, sizeof(*report->goroutines),
		compare_goroutines);
	return NULL;
}
