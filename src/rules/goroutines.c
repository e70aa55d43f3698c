// See goroutines.h.
#include "rules/goroutines.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "debuginfo/pclntab.h"
#include "rules/timers.h"

static void sleepers_deinit(struct sleepers *sleepers)
{
	free(sleepers->are);
	graph_walk_destroy(sleepers->others);
}

void goroutine_evidence_destroy(struct goroutine_evidence *evidence)
{
	if (!evidence)
		return;
	waits_deinit(&evidence->waits);
	free(evidence->nodes);
	sleepers_deinit(&evidence->leaked);
	sleepers_deinit(&evidence->unstoppable);
	free(evidence);
}

// The goroutines that run finalizers and cleanups, the main goroutine and coroutines begin in the runtime. Their end
// means something else than that of a go statement.
static bool begins_in_runtime(const struct analysis *analysis, const struct goroutine *goroutine)
{
	const struct go_module *module;
	struct pcln_function function;

	return !go_find_function(analysis->runtime, goroutine->start, &module, &function) ||
	       !strncmp(function.name, "runtime.", strlen("runtime."));
}

static bool may_be_leaked(
	const struct analysis *analysis, const struct goroutine_evidence *evidence, uint32_t index)
{
	const struct goroutine *goroutine = &analysis->goroutines->goroutines[index];

	return evidence->waits.of[index].kind != WAIT_OUTSIDE && !goroutine->system &&
	       !begins_in_runtime(analysis, goroutine);
}

// What wakeable_find() is asked.
struct question {
	HW_VECTOR(struct blocked) blocked;
	HW_VECTOR(uint32_t) goroutines; // blocked[i] is this one
	HW_VECTOR(object_id) objects;
	HW_VECTOR(object_id) sudogs;
};

static void question_deinit(struct question *question)
{
	hw_vector_deinit(&question->blocked);
	hw_vector_deinit(&question->goroutines);
	hw_vector_deinit(&question->objects);
	hw_vector_deinit(&question->sudogs);
}

// Adds a goroutine with what it waits for but the channels of `timers` (may be NULL), unless that is all.
static bool question_add(struct question *question, const struct goroutine_evidence *evidence,
	uint32_t goroutine, const struct timer_evidence *timers)
{
	const struct wait *wait = &evidence->waits.of[goroutine];
	struct blocked blocked = {
		.holder = evidence->nodes[goroutine],
		.first = (uint32_t)question->objects.count,
	};

	for (uint32_t i = 0; i < wait->count; i++) {
		const struct wait_on *on = &evidence->waits.on.items[wait->first + i];
		if (on->sudog != OBJECT_NONE && !hw_vector_push(&question->sudogs, on->sudog))
			return false;
		if (timers && hw_map_get(&timers->channels, on->object, NULL))
			continue;
		if (!hw_vector_push(&question->objects, on->object))
			return false;
		blocked.count++;
	}
	if (wait->count && !blocked.count)
		return true;
	return hw_vector_push(&question->blocked, blocked) &&
	       hw_vector_push(&question->goroutines, goroutine);
}

static struct error *question_ask(
	struct analysis *analysis, const struct question *question, struct sleepers *out)
{
	struct blocked_list list = {
		.items = question->blocked.items,
		.count = (uint32_t)question->blocked.count,
		.objects = question->objects.items,
		.obstacles = question->sudogs.items,
		.obstacle_count = question->sudogs.count,
	};
	_cleanup_free_ bool *woken = calloc((size_t)list.count + 1, sizeof(*woken));

	out->are = calloc((size_t)analysis->goroutines->count + 1, sizeof(*out->are));
	if (!woken || !out->are)
		return error_no_memory();
	if (!list.count)
		return NULL;
	struct error *err = wakeable_find(
		analysis->graph, analysis->root_holder_count, &list, woken, &out->others);
	for (uint32_t i = 0; i < list.count && !err; i++) {
		out->are[question->goroutines.items[i]] = !woken[i];
		out->count += !woken[i];
	}
	return err;
}

static struct error *sleepers_find(struct analysis *analysis,
	const struct goroutine_evidence *evidence, const struct timer_evidence *timers,
	struct sleepers *out)
{
	_cleanup_(question_deinit) struct question question = {0};

	for (uint32_t i = 0; i < analysis->goroutines->count; i++)
		if (may_be_leaked(analysis, evidence, i) &&
			!question_add(&question, evidence, i, timers))
			return error_no_memory();
	return question_ask(analysis, &question, out);
}

// Some timer is all that keeps it from being leaked: it waits for channels of timers and for others.
static bool waits_for_both(const struct goroutine_evidence *evidence,
	const struct timer_evidence *timers, uint32_t goroutine)
{
	const struct wait *wait = &evidence->waits.of[goroutine];
	uint32_t of_timers = 0;

	for (uint32_t i = 0; i < wait->count; i++)
		of_timers += hw_map_get(
			&timers->channels, evidence->waits.on.items[wait->first + i].object, NULL);
	return of_timers && of_timers < wait->count;
}

static struct error *unstoppable_find(struct rule_run *run, struct goroutine_evidence *evidence)
{
	struct analysis *analysis = run->analysis;
	struct sleepers *out = &evidence->unstoppable;
	struct timer_evidence *timers;
	uint32_t both = 0;
	struct error *err = timer_evidence(run, &timers);

	if (err)
		return err;
	for (uint32_t i = 0; i < analysis->goroutines->count; i++)
		both += waits_for_both(evidence, timers, i);
	if (!both)
		return NULL;
	err = sleepers_find(analysis, evidence, timers, out);
	out->count = 0;
	for (uint32_t i = 0; i < analysis->goroutines->count && !err; i++) {
		bool leaked = evidence->leaked.are[i];
		// What leaked ones keep is told elsewhere; whoever only waits for such a loop is no loop.
		if (leaked && out->others && evidence->nodes[i] != NODE_NONE)
			err = graph_walk_from(out->others, evidence->nodes[i]);
		out->are[i] &= !leaked && waits_for_both(evidence, timers, i);
		out->count += out->are[i];
	}
	return err;
}

static struct error *evidence_fill(struct rule_run *run, struct goroutine_evidence *evidence)
{
	struct analysis *analysis = run->analysis;
	uint32_t count = analysis->goroutines->count;
	struct error *err = waits_read(
		analysis->heap, analysis->goroutines, &analysis->roots, &evidence->waits);

	if (err)
		return err;
	evidence->nodes = calloc((size_t)count + 1, sizeof(*evidence->nodes));
	if (!evidence->nodes)
		return error_no_memory();
	for (uint32_t i = 0; i < count; i++)
		evidence->nodes[i] = NODE_NONE;
	for (uint32_t i = 0; i < analysis->root_holder_count; i++)
		if (analysis->root_holders[i].goroutine != UINT32_MAX)
			evidence->nodes[analysis->root_holders[i].goroutine] =
				graph_holder_node(analysis->graph, i);
	err = sleepers_find(analysis, evidence, NULL, &evidence->leaked);
	return err ? err : unstoppable_find(run, evidence);
}

struct error *goroutine_evidence(struct rule_run *run, struct goroutine_evidence **out)
{
	if (!run->goroutines) {
		struct goroutine_evidence *evidence = calloc(1, sizeof(*evidence));
		struct error *err = evidence ? evidence_fill(run, evidence) : error_no_memory();
		if (err) {
			goroutine_evidence_destroy(evidence);
			return err;
		}
		run->goroutines = evidence;
	}
	*out = run->goroutines;
	return NULL;
}
