// The ledger as a whole: what is seen of the objects, then the heap, then the rest of the process.
#include "ledger/ledger.h"

#include <stdlib.h>

#include "base/error.h"
#include "ledger/ledger_private.h"
#include "target/resident.h"

const char *ledger_account_name(enum account account)
{
	static const char *const names[ACCOUNT_COUNT] = {
		[ACCOUNT_VIEWED] = "viewed",
		[ACCOUNT_PINNED] = "pinned",
		[ACCOUNT_SPARE] = "spare",
		[ACCOUNT_SLACK] = "slack",
		[ACCOUNT_GARBAGE] = "garbage",
		[ACCOUNT_ROUNDING] = "rounding",
		[ACCOUNT_FREE_SLOTS] = "free slots",
		[ACCOUNT_IDLE_SPANS] = "idle spans",
		[ACCOUNT_STACKS] = "stacks",
		[ACCOUNT_WORK_BUFFERS] = "gc work buffers",
		[ACCOUNT_ARENA_TABLES] = "arena tables",
		[ACCOUNT_PAGE_ALLOCATOR] = "page allocator",
		[ACCOUNT_SPAN_RECORDS] = "span records",
		[ACCOUNT_HEAP_PROFILE] = "heap profile",
		[ACCOUNT_GC_METADATA] = "gc metadata",
		[ACCOUNT_OTHER_RUNTIME] = "other runtime",
		[ACCOUNT_BINARY] = "binary",
		[ACCOUNT_THREAD_STACKS] = "thread stacks",
		[ACCOUNT_C_HEAP] = "C heap",
		[ACCOUNT_LIBRARIES] = "shared libraries",
		[ACCOUNT_FILES] = "mapped files",
		[ACCOUNT_OTHER] = "other mappings",
		[ACCOUNT_CHANGED] = "changed meanwhile",
	};

	return names[account];
}

// What is missing to the kernel's total came while we were reading; what is too much went.
static void ledger_balance(struct ledger *ledger, uint64_t total)
{
	uint64_t sum = 0;

	for (int i = 0; i < ACCOUNT_COUNT; i++)
		sum += ledger->bytes[i];
	if (total > sum)
		ledger->bytes[ACCOUNT_CHANGED] = total - sum;
	ledger->resident_bytes = total > sum ? total : sum;
}

struct error *ledger_open(struct analysis *analysis, unsigned threads, struct ledger **out)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (!ledger)
		return error_no_memory();
	if (!threads)
		threads = analysis->threads;
	const struct resident *resident = analysis->target->resident;
	// Of a core that lacks objects nothing tells which others are garbage.
	ledger->known = resident && resident->mappings.count && !analysis->heap->absent_bytes;
	ledger->in_use_bytes = analysis->heap->in_use_bytes;
	struct error *err = windows_open(analysis, threads, &ledger->windows);
	if (!err)
		err = ledger_count_heap(ledger, analysis, threads);
	runtime_counters_read(analysis->heap, &ledger->counters);
	if (!err && ledger->known)
		err = ledger_count_process(ledger, analysis);
	if (err) {
		ledger_close(ledger);
		return err;
	}
	if (ledger->known)
		ledger_balance(ledger, resident->total);
	else
		ledger->resident_bytes = resident ? resident->total : 0;
	*out = ledger;
	return NULL;
}

void ledger_close(struct ledger *ledger)
{
	if (!ledger)
		return;
	windows_close(ledger->windows);
	free(ledger);
}
