// See timers.h.
#include "rules/timers.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "rules/objects.h"

void timer_evidence_destroy(struct timer_evidence *evidence)
{
	if (!evidence)
		return;
	hw_vector_deinit(&evidence->list);
	hw_map_deinit(&evidence->tickers);
	free(evidence);
}

static bool is_timer(const char *label)
{
	for (unsigned type = 0; type < TIMER_TYPES; type++)
		if (!strcmp(label, timer_types[type]))
			return true;
	return false;
}

static bool timer_add(const struct heap *heap, struct timer_evidence *evidence, object_id object)
{
	struct timer timer;

	if (!timer_read(heap, object, &timer))
		return true;
	object_id channel = timer.period ? heap_find(heap, timer.channel) : OBJECT_NONE;
	if (channel != OBJECT_NONE && !hw_map_put(&evidence->tickers, channel, 0))
		return false;
	return hw_vector_push(&evidence->list, timer);
}

static struct error *evidence_fill(struct rule_run *run, struct timer_evidence *evidence)
{
	_cleanup_(typed_objects_deinit) struct typed_objects timers = {0};
	struct error *err = labelled_objects_find(run, is_timer, &timers);

	for (size_t i = 0; i < timers.list.count && !err; i++)
		if (!timer_add(run->analysis->heap, evidence, timers.list.items[i]))
			err = error_no_memory();
	return err;
}

struct error *timer_evidence(struct rule_run *run, struct timer_evidence **out)
{
	if (!run->timers) {
		struct timer_evidence *evidence = calloc(1, sizeof(*evidence));
		if (!evidence)
			return error_no_memory();
		hw_map_init(&evidence->tickers);
		struct error *err = evidence_fill(run, evidence);
		if (err) {
			timer_evidence_destroy(evidence);
			return err;
		}
		run->timers = evidence;
	}
	*out = run->timers;
	return NULL;
}
