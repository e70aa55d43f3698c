// See goroutines.h.
#include "rules/goroutines.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "debuginfo/pclntab.h"
#include "rules/timers.h"

void goroutine_evidence_destroy(struct goroutine_evidence *evidence)
{
	if (!evidence)
		return;
	waits_deinit(&evidence->waits);
	free(evidence->nodes);
	free(evidence->states);
	graph_walk_destroy(evidence->others);
	free(evidence);
}

// The goroutines that run finalizers and cleanups, and the main goroutine, begin in the runtime. Their end means something
// else than that of a go statement. Coroutines begin there, too.
static bool begins_in_runtime(const struct analysis *analysis, const struct goroutine *goroutine)
{
	const struct go_module *module;
	struct pcln_function function;

	return !go_find_function(analysis->runtime, goroutine->start, &module, &function) ||
	       (!strncmp(function.name, "runtime.", strlen("runtime.")) &&
		       strcmp(function.name, "runtime.corostart") != 0);
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
	HW_VECTOR(struct blocked_object) objects;
	HW_VECTOR(object_id) sudogs;
	HW_VECTOR(struct finalizing) finalizing;
	HW_VECTOR(node_id) finalizers;
};

static void question_deinit(struct question *question)
{
	hw_vector_deinit(&question->blocked);
	hw_vector_deinit(&question->goroutines);
	hw_vector_deinit(&question->objects);
	hw_vector_deinit(&question->sudogs);
	hw_vector_deinit(&question->finalizing);
	hw_vector_deinit(&question->finalizers);
}

// Adds a goroutine with what it waits for. Who waits for tickers and for others is to be woken by the others.
// A timer that fires once is as good as any: that is how one waits for no longer than so long.
static bool question_add(struct question *question, const struct goroutine_evidence *evidence,
	uint32_t goroutine, const struct timer_evidence *timers)
{
	const struct wait *wait = &evidence->waits.of[goroutine];
	struct blocked blocked = {
		.holder = evidence->nodes[goroutine],
		.first = (uint32_t)question->objects.count,
		.count = wait->count,
	};
	uint32_t of_tickers = 0;

	for (uint32_t i = 0; i < wait->count; i++) {
		const struct wait_on *on = &evidence->waits.on.items[wait->first + i];
		bool ticker = hw_map_get(&timers->tickers, on->object, NULL);
		if (on->sudog != OBJECT_NONE && !hw_vector_push(&question->sudogs, on->sudog))
			return false;
		if (!hw_vector_push(
			    &question->objects, (struct blocked_object){on->object, ticker}))
			return false;
		of_tickers += ticker;
	}
	if (of_tickers == wait->count)
		for (uint32_t i = 0; i < wait->count; i++)
			question->objects.items[blocked.first + i].late = false;
	return hw_vector_push(&question->blocked, blocked) &&
	       hw_vector_push(&question->goroutines, goroutine);
}

// Roots that lead on only for whoever has what they hang on.
static bool is_conditional(const struct root *root)
{
	return root->kind == ROOT_FINALIZER || root->kind == ROOT_CLEANUP ||
	       root->kind == ROOT_WEAK;
}

// Adds the finalizers and cleanups that are not due yet, and weak pointers: whoever has one can make it strong
// (runtime/mheap.go, internal_weak_runtime_makeStrongFromWeak, 1.23 on). What they have is the handle.
static bool question_add_finalizers(struct question *question, const struct analysis *analysis)
{
	const struct root *roots = analysis->roots.list.items;

	for (size_t i = 0; i < analysis->roots.list.count; i++) {
		if (!is_conditional(&roots[i]))
			continue;
		struct finalizing finalizing = {
			roots[i].owner, heap_find(analysis->heap, roots[i].value)};
		if (roots[i].kind == ROOT_WEAK)
			finalizing = (struct finalizing){finalizing.to, finalizing.object};
		if (finalizing.object != OBJECT_NONE && finalizing.to != OBJECT_NONE &&
			!hw_vector_push(&question->finalizing, finalizing))
			return false;
	}
	for (uint32_t i = 0; i < analysis->root_holder_count; i++) {
		uint32_t first = analysis->root_holders[i].first_root;
		node_id node = graph_holder_node(analysis->graph, i);
		if (first != UINT32_MAX && is_conditional(&roots[first]) &&
			!hw_vector_push(&question->finalizers, node))
			return false;
	}
	return true;
}

static bool waits_for_ticker(const struct question *question, const struct blocked *blocked)
{
	for (uint32_t i = 0; i < blocked->count; i++)
		if (question->objects.items[blocked->first + i].late)
			return true;
	return false;
}

static void verdict_take(struct goroutine_evidence *evidence, const struct question *question,
	size_t i, const struct verdict *verdict)
{
	struct goroutine_state *state = &evidence->states[question->goroutines.items[i]];

	if (verdict->how == WAKEABLE_NEVER) {
		state->sleep = SLEEP_FOREVER;
		evidence->forever++;
	} else if (verdict->how == WAKEABLE_LATE &&
		   waits_for_ticker(question, &question->blocked.items[i])) {
		// Others that are woken late only wait for what such a loop does.
		state->sleep = SLEEP_IN_LOOP;
		state->loop_bytes = verdict->bytes;
		evidence->in_loop++;
	}
}

static struct error *question_ask(struct analysis *analysis, const struct question *question,
	struct goroutine_evidence *evidence)
{
	struct blocked_list list = {
		.items = question->blocked.items,
		.count = (uint32_t)question->blocked.count,
		.objects = question->objects.items,
		.obstacles = question->sudogs.items,
		.obstacle_count = question->sudogs.count,
		.finalizing = question->finalizing.items,
		.finalizing_count = question->finalizing.count,
		.finalizers = question->finalizers.items,
		.finalizer_count = question->finalizers.count,
	};
	_cleanup_free_ struct verdict *verdicts = calloc((size_t)list.count + 1, sizeof(*verdicts));

	if (!verdicts)
		return error_no_memory();
	if (!list.count)
		return NULL;
	struct error *err = wakeable_find(
		analysis->graph, analysis->root_holder_count, &list, verdicts, &evidence->others);
	for (uint32_t i = 0; i < list.count && !err; i++)
		verdict_take(evidence, question, i, &verdicts[i]);
	return err;
}

static struct error *sleepers_find(struct rule_run *run, struct goroutine_evidence *evidence)
{
	struct analysis *analysis = run->analysis;
	_cleanup_(question_deinit) struct question question = {0};
	struct timer_evidence *timers;
	struct error *err = timer_evidence(run, &timers);

	for (uint32_t i = 0; i < analysis->goroutines->count && !err; i++)
		if (may_be_leaked(analysis, evidence, i) &&
			!question_add(&question, evidence, i, timers))
			err = error_no_memory();
	if (!err && !question_add_finalizers(&question, analysis))
		err = error_no_memory();
	return err ? err : question_ask(analysis, &question, evidence);
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
	evidence->states = calloc((size_t)count + 1, sizeof(*evidence->states));
	if (!evidence->nodes || !evidence->states)
		return error_no_memory();
	for (uint32_t i = 0; i < count; i++)
		evidence->nodes[i] = NODE_NONE;
	for (uint32_t i = 0; i < analysis->root_holder_count; i++)
		if (analysis->root_holders[i].goroutine != UINT32_MAX)
			evidence->nodes[analysis->root_holders[i].goroutine] =
				graph_holder_node(analysis->graph, i);
	return sleepers_find(run, evidence);
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

struct error *goroutine_walk(const struct goroutine_evidence *evidence, uint32_t goroutine)
{
	const struct wait *wait = &evidence->waits.of[goroutine];

	for (uint32_t i = 0; i < wait->count; i++) {
		const struct wait_on *on = &evidence->waits.on.items[wait->first + i];
		if (on->sudog != OBJECT_NONE)
			graph_walk_unblock(evidence->others, on->sudog);
	}
	return evidence->nodes[goroutine] == NODE_NONE
		       ? NULL
		       : graph_walk_from(evidence->others, evidence->nodes[goroutine]);
}
