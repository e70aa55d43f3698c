// What several rules ask about goroutines: who waits for what, who can never be woken, who is one of many alike.
//
// Computed once, when the first rule asks.
#ifndef RULES_GOROUTINES_H
#define RULES_GOROUTINES_H

#include "goruntime/waits.h"
#include "rules/rule.h"
#include "rules/wakeable.h"

// Goroutines that can not be woken, in one sense or another.
struct sleepers {
	bool *are; // by goroutine
	uint32_t count;
	struct graph_walk
		*others; // has met what all others can reach, and may be gone on with; NULL
			 // when there are none
};

struct goroutine_evidence {
	struct waits waits; // by goroutine
	node_id *
		nodes; // by goroutine: of its own holder in the graph; NODE_NONE when it holds nothing
	struct sleepers leaked; // nothing can ever wake them
	// Timers wake them, but of the other channels that they wait for nobody can reach one: the
	// loops round a ticker and a channel called done, which nobody can end.
	struct sleepers unstoppable;
};

struct error *goroutine_evidence(struct rule_run *run, struct goroutine_evidence **out);
void goroutine_evidence_destroy(struct goroutine_evidence *evidence); // accepts NULL

#endif
