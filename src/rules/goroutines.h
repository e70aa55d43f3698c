// What several rules ask about goroutines: who waits for what, who can never be woken, who is one of many alike.
//
// Computed once, when the first rule asks.
#ifndef RULES_GOROUTINES_H
#define RULES_GOROUTINES_H

#include "goruntime/waits.h"
#include "rules/rule.h"
#include "rules/wakeable.h"

struct goroutine_evidence {
	struct waits waits; // by goroutine
	node_id *
		nodes; // by goroutine: of its own holder in the graph; NODE_NONE when it holds nothing
	bool *leaked; // by goroutine: nothing can ever wake it
	uint32_t leaked_count;
	struct graph_walk *
		live; // has met what all others can reach, and is not at its end: may be gone on with
};

struct error *goroutine_evidence(struct rule_run *run, struct goroutine_evidence **out);
void goroutine_evidence_destroy(struct goroutine_evidence *evidence); // accepts NULL

#endif
