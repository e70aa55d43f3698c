// See timers.h.
#include "rules/timers.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"

void timer_evidence_destroy(struct timer_evidence *evidence)
{
	if (!evidence)
		return;
	hw_vector_deinit(&evidence->list);
	hw_map_deinit(&evidence->channels);
	free(evidence);
}

// Which labels are timers, a byte each. NULL when out of memory.
static bool *labels_of_timers(const struct typing *typing)
{
	uint32_t count = typing_label_count(typing);
	bool *timers = calloc((size_t)count + 1, sizeof(*timers));

	for (uint32_t i = 0; timers && i < count; i++)
		for (unsigned type = 0; type < TIMER_TYPES; type++)
			timers[i] |= !strcmp(typing_label_name(typing, i), timer_types[type]);
	return timers;
}

static bool timer_add(const struct heap *heap, struct timer_evidence *evidence, object_id object)
{
	struct timer timer;

	if (!timer_read(heap, object, &timer))
		return true;
	object_id channel = timer.channel ? heap_find(heap, timer.channel) : OBJECT_NONE;
	if (channel != OBJECT_NONE &&
		!hw_map_put(&evidence->channels, channel, evidence->list.count))
		return false;
	return hw_vector_push(&evidence->list, timer);
}

static struct error *evidence_fill(const struct analysis *analysis, struct timer_evidence *evidence)
{
	const uint64_t *live = graph_reached(analysis->graph);
	_cleanup_free_ bool *timers = labels_of_timers(analysis->typing);

	if (!timers)
		return error_no_memory();
	for (object_id id = 0; id < analysis->heap->object_count; id++)
		if (heap_bit(live, id) && timers[typing_label_of(analysis->typing, id)] &&
			!timer_add(analysis->heap, evidence, id))
			return error_no_memory();
	return NULL;
}

struct error *timer_evidence(struct rule_run *run, struct timer_evidence **out)
{
	if (!run->timers) {
		struct timer_evidence *evidence = calloc(1, sizeof(*evidence));
		if (!evidence)
			return error_no_memory();
		hw_map_init(&evidence->channels);
		struct error *err = evidence_fill(run->analysis, evidence);
		if (err) {
			timer_evidence_destroy(evidence);
			return err;
		}
		run->timers = evidence;
	}
	*out = run->timers;
	return NULL;
}
