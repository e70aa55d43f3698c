// The heap's spans, slot by slot. A span whose pages are all in memory needs no more than sizes; of
// others the page map is asked about each stretch.
//
// Threads take runs of spans, each with accounts of its own.
#include <stdatomic.h>
#include <stdlib.h>

#include "base/cancel.h"
#include "base/error.h"
#include "base/together.h"
#include "goruntime/map_occupancy.h"
#include "ledger/ledger_private.h"
#include "target/resident.h"

enum { THREADS_MAX = 4, SPANS_AT_ONCE = 256 };

struct counting {
	const struct analysis *analysis;
	const struct windows *windows;
	const uint64_t *live;
	const struct resident *resident; // NULL: unknown, all is taken to be in memory
	_Atomic uint32_t next_span;
};

struct counter {
	struct counting *counting;
	struct memory memory;
	uint64_t bytes[ACCOUNT_COUNT];
	uint64_t
		in_maps; // in memory, of maps' arrays; what of it is slack is known only for all together
	uint64_t channel_slack;
	// The span being counted.
	const struct span *span;
	bool whole;     // it is in memory from end to end
	uint32_t label; // what of it has `rounding`; 0: not known of any
	uint64_t rounding;
	remote_addr content;                // of the object being weighed
	const struct windowed_object *next; // the first listed object that was not met yet
};

static uint64_t resident(const struct counter *counter, remote_addr start, remote_addr end)
{
	if (end <= start)
		return 0;
	return counter->whole ? end - start
			      : resident_bytes(counter->counting->resident, start, end);
}

static uint64_t weigh(void *context, uint64_t start, uint64_t end)
{
	const struct counter *counter = context;

	return resident(counter, counter->content + start, counter->content + end);
}

// An object of which somebody sees a part.
static void count_windowed(
	struct counter *counter, const struct windowed_object *object, remote_addr slot)
{
	const struct window *list = &counter->counting->windows->list.items[object->first];
	uint64_t end = (uint64_t)object->viewed + object->spare + object->pinned;
	struct coverage coverage;

	counter->content = slot + counter->span->header_bytes;
	extents_weigh(&list->extent, object->count, sizeof(*list), weigh, counter, &coverage);
	uint64_t all = resident(counter, slot, slot + counter->span->elem_size);
	uint64_t used = resident(counter, counter->content, counter->content + end);
	counter->bytes[ACCOUNT_VIEWED] += coverage.viewed;
	counter->bytes[ACCOUNT_SPARE] += coverage.spare;
	counter->bytes[ACCOUNT_PINNED] += used - coverage.viewed - coverage.spare;
	counter->bytes[ACCOUNT_ROUNDING] += all - used;
}

// runtime.hchan: what of its buffer holds nothing.
static uint64_t channel_slack(
	struct counter *counter, const struct go_type *type, remote_addr hchan)
{
	const struct layout_offsets *at = &counter->counting->analysis->runtime->layout.at;
	uint64_t count = memory_u64(&counter->memory, hchan + (uint32_t)at->hchan_qcount);
	uint64_t room = memory_u64(&counter->memory, hchan + (uint32_t)at->hchan_dataqsiz);
	remote_addr buffer = memory_u64(&counter->memory, hchan + (uint32_t)at->hchan_buf);
	object_id id = heap_find(counter->counting->analysis->heap, buffer);

	if (id == OBJECT_NONE || count > room || !type->elem->size ||
		room > heap_size(counter->counting->analysis->heap, id) / type->elem->size)
		return 0;
	return (room - count) * type->elem->size;
}

static bool type_is_channel(const struct go_type *type)
{
	return type->synthetic && type->kind == GO_STRUCT && type->elem && !type->key;
}

// An object that is seen whole.
static void count_seen(struct counter *counter, object_id id, remote_addr slot)
{
	const struct counting *counting = counter->counting;
	const struct span *span = counter->span;
	struct object_type type;
	remote_addr end = slot + span->elem_size;
	uint64_t all = resident(counter, slot, end);

	if (heap_bit(counting->windows->map_arrays, id)) {
		counter->in_maps += all;
		return;
	}
	// In a span that is in memory, one object has what the others of its kind have, and those often lie side by side.
	uint32_t label = typing_label_of(counting->analysis->typing, id);
	if (label == counter->label) {
		counter->bytes[ACCOUNT_ROUNDING] += counter->rounding;
		counter->bytes[ACCOUNT_VIEWED] += all - counter->rounding;
		return;
	}
	typing_of(counting->analysis->typing, id, &type);
	uint64_t rounding = 0;
	bool channel = false;
	if (type.source == TYPED_EXACT && !type.array && !(span->noscan && span->elem_size <= 16)) {
		remote_addr used = slot + span->header_bytes + type.type->size;
		if (used < end && span_fits(span, type.type->size))
			rounding = resident(counter, used, end);
		channel = type_is_channel(type.type);
		if (channel)
			counter->channel_slack += channel_slack(counter, type.type, slot);
	}
	if (counter->whole && !channel) {
		counter->label = label;
		counter->rounding = rounding;
	}
	counter->bytes[ACCOUNT_ROUNDING] += rounding;
	counter->bytes[ACCOUNT_VIEWED] += all - rounding;
}

static void count_slot(struct counter *counter, object_id id)
{
	const struct counting *counting = counter->counting;
	const struct windows *windows = counting->windows;
	remote_addr slot = span_object(counter->span, id);

	if (!heap_bit(counting->live, id)) {
		enum account account = heap_bit(counting->analysis->heap->allocated, id)
					       ? ACCOUNT_GARBAGE
					       : ACCOUNT_FREE_SLOTS;
		counter->bytes[account] += resident(counter, slot, slot + counter->span->elem_size);
		return;
	}
	const struct windowed_object *end = windows->objects.items + windows->objects.count;
	while (counter->next < end && counter->next->id < id)
		counter->next++;
	if (counter->next < end && counter->next->id == id)
		count_windowed(counter, counter->next, slot);
	else
		count_seen(counter, id, slot);
}

static void count_span(struct counter *counter, const struct span *span)
{
	const struct counting *counting = counter->counting;
	remote_addr end = span->base + (uint64_t)span->pages * GO_PAGE_SIZE;
	uint64_t bytes = end - span->base;

	if (counting->resident)
		bytes = resident_bytes(counting->resident, span->base, end);
	if (span->state != SPAN_IN_USE) {
		// runtime/stack.go: spans of stacks have an element size, the collector's buffers have none.
		counter->bytes[span->elem_size ? ACCOUNT_STACKS : ACCOUNT_WORK_BUFFERS] += bytes;
		return;
	}
	counter->span = span;
	counter->whole = bytes == end - span->base;
	counter->label = 0;
	for (uint32_t i = 0; bytes && i < span->count; i++)
		count_slot(counter, span->first + i);
	remote_addr slots_end = span->base + (uint64_t)span->count * span->elem_size;
	counter->bytes[ACCOUNT_ROUNDING] += resident(counter, slots_end, end);
}

static void counter_run(void *job)
{
	struct counter *counter = job;
	struct counting *counting = counter->counting;
	const struct heap *heap = counting->analysis->heap;

	while (!cancel_requested()) {
		uint32_t first = atomic_fetch_add(&counting->next_span, SPANS_AT_ONCE);
		if (first >= heap->span_count)
			break;
		counter->next = windows_from(counting->windows, heap->spans[first].first);
		for (uint32_t i = first; i < first + SPANS_AT_ONCE && i < heap->span_count; i++)
			count_span(counter, &heap->spans[i]);
	}
}

// What of the maps' arrays holds entries is in memory; the rest of what is in memory is slack.
static void ledger_add(struct ledger *ledger, const struct counter *counters, unsigned count)
{
	uint64_t in_maps = 0, channel = 0, used = ledger->windows->map_used_bytes;

	for (unsigned i = 0; i < count; i++) {
		for (int a = 0; a < ACCOUNT_COUNT; a++)
			ledger->bytes[a] += counters[i].bytes[a];
		in_maps += counters[i].in_maps;
		channel += counters[i].channel_slack;
	}
	if (used > in_maps)
		used = in_maps;
	if (channel > ledger->bytes[ACCOUNT_VIEWED])
		channel = ledger->bytes[ACCOUNT_VIEWED];
	ledger->bytes[ACCOUNT_VIEWED] += used;
	ledger->bytes[ACCOUNT_SLACK] += in_maps - used + channel;
	ledger->bytes[ACCOUNT_VIEWED] -= channel;
	ledger->slack_bytes = ledger->windows->map_slack_bytes + channel;
}

struct error *ledger_count_heap(
	struct ledger *ledger, const struct analysis *analysis, unsigned threads)
{
	struct counting counting = {
		.analysis = analysis,
		.windows = ledger->windows,
		.live = graph_reached(analysis->graph),
		.resident = ledger->known ? analysis->target->resident : NULL,
	};
	struct counter counters[THREADS_MAX] = {0};
	unsigned count = threads < THREADS_MAX ? threads : THREADS_MAX, ready = 0;
	struct error *err = NULL;

	for (; ready < count && !err; ready++) {
		counters[ready].counting = &counting;
		err = memory_init(&counters[ready].memory, analysis->target, 1 << 20);
	}
	if (!err)
		together(counter_run, counters, count, sizeof(*counters));
	for (unsigned i = 0; i < ready; i++)
		memory_deinit(&counters[i].memory);
	if (!err)
		ledger_add(ledger, counters, count);
	return !err && cancel_requested() ? error_cancelled() : err;
}
