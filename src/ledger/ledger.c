// Where the resident memory is. A span whose pages are all in memory is settled by counting bits;
// the slots of others are looked at one by one, because a large object that nobody has written to
// is alive and yet takes no memory.
#include "ledger/ledger.h"

#include "graph/analysis.h"

const char *ledger_account_name(enum account account)
{
	static const char *const names[ACCOUNT_COUNT] = {
		[ACCOUNT_LIVE] = "live",
		[ACCOUNT_GARBAGE] = "garbage",
		[ACCOUNT_FREE_SLOTS] = "free slots",
		[ACCOUNT_ROUNDING] = "rounding",
		[ACCOUNT_IDLE_SPANS] = "idle spans",
		[ACCOUNT_STACKS] = "stacks",
		[ACCOUNT_OTHER] = "other mappings",
	};

	return names[account];
}

static enum account slot_account(const struct analysis *analysis, object_id id)
{
	if (heap_bit(graph_reached(analysis->graph), id))
		return ACCOUNT_LIVE;
	return heap_bit(analysis->heap->allocated, id) ? ACCOUNT_GARBAGE : ACCOUNT_FREE_SLOTS;
}

static void ledger_add_span(
	const struct analysis *analysis, const struct span *span, struct ledger *ledger)
{
	const struct resident_map *map = &analysis->resident;
	remote_addr end = span->base + (uint64_t)span->pages * GO_PAGE_SIZE;
	uint64_t resident = resident_bytes(map, span->base, end);

	if (span->state != SPAN_IN_USE) {
		ledger->bytes[ACCOUNT_STACKS] += resident;
		return;
	}
	remote_addr slots_end = span->base + (uint64_t)span->count * span->elem_size;
	if (resident == end - span->base) {
		for (uint32_t i = 0; i < span->count; i++)
			ledger->bytes[slot_account(analysis, span->first + i)] += span->elem_size;
		ledger->bytes[ACCOUNT_ROUNDING] += end - slots_end;
		return;
	}
	for (uint32_t i = 0; resident && i < span->count; i++) {
		remote_addr slot = span_object(span, span->first + i);
		ledger->bytes[slot_account(analysis, span->first + i)] +=
			resident_bytes(map, slot, slot + span->elem_size);
	}
	ledger->bytes[ACCOUNT_ROUNDING] += resident_bytes(map, slots_end, end);
}

void ledger_compute(const struct analysis *analysis, struct ledger *out)
{
	const struct resident_map *map = &analysis->resident;
	struct ledger ledger = {.resident_bytes = analysis->resident_total};
	uint64_t in_mappings = 0, in_spans = 0;

	for (uint32_t i = 0; i < analysis->heap->span_count; i++)
		ledger_add_span(analysis, &analysis->heap->spans[i], &ledger);
	for (size_t i = 0; i < map->count; i++)
		in_mappings += resident_bytes(map, map->ranges[i].start, map->ranges[i].end);
	for (int i = 0; i < ACCOUNT_COUNT; i++)
		in_spans += ledger.bytes[i];
	ledger.known = in_mappings > 0;
	ledger.bytes[ACCOUNT_IDLE_SPANS] = in_mappings - in_spans;
	// The kernel's total and its page map are read one after the other: the process may have
	// grown between.
	if (ledger.resident_bytes < in_mappings)
		ledger.resident_bytes = in_mappings;
	ledger.bytes[ACCOUNT_OTHER] = ledger.resident_bytes - in_mappings;
	*out = ledger;
}
