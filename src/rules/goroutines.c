// See goroutines.h.
#include "rules/goroutines.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "debuginfo/pclntab.h"

void goroutine_evidence_destroy(struct goroutine_evidence *evidence)
{
	if (!evidence)
		return;
	waits_deinit(&evidence->waits);
	free(evidence->nodes);
	free(evidence->leaked);
	graph_walk_destroy(evidence->live);
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

struct blocked_vectors {
	HW_VECTOR(struct blocked) blocked;
	HW_VECTOR(uint32_t) goroutines; // of blocked[i]
	object_id *objects, *sudogs;    // of evidence->waits.on[i]
	size_t sudog_count;
};

static void cleanup_blocked(struct blocked_vectors *vectors)
{
	hw_vector_deinit(&vectors->blocked);
	hw_vector_deinit(&vectors->goroutines);
	free(vectors->objects);
	free(vectors->sudogs);
}

static bool blocked_collect(const struct analysis *analysis,
	const struct goroutine_evidence *evidence, struct blocked_vectors *out)
{
	const struct waits *waits = &evidence->waits;

	out->objects = calloc(waits->on.count + 1, sizeof(*out->objects));
	out->sudogs = calloc(waits->on.count + 1, sizeof(*out->sudogs));
	if (!out->objects || !out->sudogs)
		return false;
	for (size_t i = 0; i < waits->on.count; i++) {
		out->objects[i] = waits->on.items[i].object;
		if (waits->on.items[i].sudog != OBJECT_NONE)
			out->sudogs[out->sudog_count++] = waits->on.items[i].sudog;
	}
	for (uint32_t i = 0; i < analysis->goroutines->count; i++) {
		const struct wait *wait = &waits->of[i];
		struct blocked blocked = {evidence->nodes[i], wait->first, wait->count};
		if (!may_be_leaked(analysis, evidence, i))
			continue;
		if (!hw_vector_push(&out->blocked, blocked) || !hw_vector_push(&out->goroutines, i))
			return false;
	}
	return true;
}

static struct error *leaked_find(struct analysis *analysis, struct goroutine_evidence *evidence)
{
	_cleanup_(cleanup_blocked) struct blocked_vectors vectors = {0};
	bool done = blocked_collect(analysis, evidence, &vectors);
	_cleanup_free_ bool *woken = calloc(vectors.blocked.count + 1, sizeof(*woken));

	if (!done || !woken)
		return error_no_memory();
	if (!vectors.blocked.count)
		return NULL;
	struct blocked_list list = {
		.items = vectors.blocked.items,
		.count = (uint32_t)vectors.blocked.count,
		.objects = vectors.objects,
		.obstacles = vectors.sudogs,
		.obstacle_count = vectors.sudog_count,
	};
	struct error *err = wakeable_find(
		analysis->graph, analysis->root_holder_count, &list, woken, &evidence->live);
	for (size_t i = 0; i < vectors.blocked.count && !err; i++) {
		evidence->leaked[vectors.goroutines.items[i]] = !woken[i];
		evidence->leaked_count += !woken[i];
	}
	return err;
}

static struct error *evidence_fill(struct analysis *analysis, struct goroutine_evidence *evidence)
{
	uint32_t count = analysis->goroutines->count;
	struct error *err = waits_read(
		analysis->heap, analysis->goroutines, &analysis->roots, &evidence->waits);

	if (err)
		return err;
	evidence->nodes = calloc((size_t)count + 1, sizeof(*evidence->nodes));
	evidence->leaked = calloc((size_t)count + 1, sizeof(*evidence->leaked));
	if (!evidence->nodes || !evidence->leaked)
		return error_no_memory();
	for (uint32_t i = 0; i < count; i++)
		evidence->nodes[i] = NODE_NONE;
	for (uint32_t i = 0; i < analysis->root_holder_count; i++)
		if (analysis->root_holders[i].goroutine != UINT32_MAX)
			evidence->nodes[analysis->root_holders[i].goroutine] =
				graph_holder_node(analysis->graph, i);
	return leaked_find(analysis, evidence);
}

struct error *goroutine_evidence(struct rule_run *run, struct goroutine_evidence **out)
{
	if (!run->goroutines) {
		struct goroutine_evidence *evidence = calloc(1, sizeof(*evidence));
		struct error *err =
			evidence ? evidence_fill(run->analysis, evidence) : error_no_memory();
		if (err) {
			goroutine_evidence_destroy(evidence);
			return err;
		}
		run->goroutines = evidence;
	}
	*out = run->goroutines;
	return NULL;
}
