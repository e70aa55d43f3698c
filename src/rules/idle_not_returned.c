// idle-not-returned: pages of the heap that hold no span and are still in memory.
//
// Some of that is how Go works: between two collections the heap grows to its goal and shrinks again, and the
// scavenger keeps what the last collection needed and a tenth more (runtime/mgcscavenge.go, retainExtraPercent, the
// same from 1.19 to 1.27). Only what is far beyond that is held for nothing: after a burst, until the scavenger,
// which takes one percent of one processor, has caught up.
#include "base/units.h"
#include "rules/rule.h"

enum { IDLE_RATIO = 2 }; // times what is in use

struct error *rule_idle_not_returned(struct rule_run *run)
{
	uint64_t idle = run->ledger->bytes[ACCOUNT_IDLE_SPANS];
	uint64_t in_use = run->analysis->heap->in_use_bytes;
	uint64_t kept = in_use + in_use / 10;
	char bytes[24], used[24];

	if (!run->ledger->known || idle < IDLE_RATIO * in_use || idle < kept)
		return NULL;
	struct finding finding = {
		.bytes = idle - kept,
		.type = "",
		.proven = true,
		.what = finding_text(run,
			"%s of the heap's pages are free and still in memory, while %s are in use: "
			"the "
			"program needed them once",
			format_bytes(bytes, sizeof(bytes), idle),
			format_bytes(used, sizeof(used), in_use)),
		.remedy = "find the burst that needed them; the runtime gives them back in its own "
			  "time, "
			  "debug.FreeOSMemory() at once, and a GOMEMLIMIT keeps the peak down",
		.remedy_bytes = idle - kept,
		.condition = "",
		.subject = NODE_NONE,
		.goroutine = UINT32_MAX,
	};
	return finding_add(run, &finding);
}
