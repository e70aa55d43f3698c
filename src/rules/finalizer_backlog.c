// finalizer-backlog: finalizers and cleanups that are due and do not get their turn.
//
// One goroutine runs all finalizers, one after the other (runtime/mfinal.go); cleanups have a few of their own from
// 1.25 on (mcleanup.go). While one of them is blocked in a program's function, everything that is due waits, and so
// does the memory that it keeps. Right after a collection a full queue is normal: it is told only when the goroutine
// that should empty it stands still in the program's own code.
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"
#include "debuginfo/pclntab.h"
#include "goruntime/positions.h"
#include "rules/objects.h"

// Whether the goroutine runs finalizers or cleanups, and one of those is in the way: it waits in the program's code.
static bool is_stuck(const struct analysis *analysis, const struct goroutine *goroutine)
{
	static const char *const runners[] = {
		"runtime.runfinq", "runtime.runFinalizers", "runtime.runCleanups"};
	const struct go_module *module;
	struct pcln_function function;

	if (goroutine->system || goroutine->status != GOROUTINE_WAITING ||
		!go_find_function(analysis->runtime, goroutine->start, &module, &function))
		return false;
	for (unsigned i = 0; i < ARRAY_COUNT(runners); i++)
		if (!strcmp(function.name, runners[i]))
			return true;
	return false;
}

static uint64_t queued_count(const struct analysis *analysis, object_id *example)
{
	const uint64_t *live = graph_reached(analysis->graph);
	uint64_t count = 0;

	for (size_t i = 0; i < analysis->roots.list.count; i++) {
		const struct root *root = &analysis->roots.list.items[i];
		object_id object = heap_find(analysis->heap, root->value);
		if (root->kind != ROOT_QUEUED || object == OBJECT_NONE || !heap_bit(live, object))
			continue;
		if (!count++ ||
			heap_size(analysis->heap, object) > heap_size(analysis->heap, *example))
			*example = object;
	}
	return count;
}

struct error *rule_finalizer_backlog(struct rule_run *run)
{
	struct analysis *analysis = run->analysis;
	const struct holder *queue = NULL;
	uint32_t stuck = UINT32_MAX;
	object_id example = OBJECT_NONE;
	char count[24];

	for (uint32_t i = 0; i < analysis->holder_count && !queue; i++)
		if (analysis->holders[i].kind == HOLDER_QUEUE)
			queue = &analysis->holders[i];
	for (uint32_t i = 0; i < analysis->goroutines->count && stuck == UINT32_MAX; i++)
		if (is_stuck(analysis, &analysis->goroutines->goroutines[i]))
			stuck = i;
	if (!queue || stuck == UINT32_MAX)
		return NULL;
	uint64_t queued = queued_count(analysis, &example);
	if (!queued)
		return NULL;
	uint64_t bytes = graph_retained(analysis->graph, queue->node);
	const struct goroutine *goroutine = &analysis->goroutines->goroutines[stuck];
	struct finding finding = {
		.bytes = bytes,
		.objects = queued,
		.type = object_type_name(run, example),
		.proven = true,
		.what = finding_text(run,
			"%s objects wait for their finalizers or cleanups, which wait for the one "
			"in %s (%s)",
			format_count(count, sizeof(count), queued),
			goroutine_function(analysis->goroutines, stuck), goroutine->wait_reason),
		.remedy = "let finalizers never block: hand what takes time to a goroutine",
		.remedy_bytes = bytes,
		.condition = "",
		.subject = example,
		.goroutine = stuck,
		.longest_wait_ns = goroutine->wait_ns,
	};
	return finding_add(run, &finding);
}
