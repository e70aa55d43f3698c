// What several rules ask about goroutines: who waits for what, who can never be woken.
//
// Computed once, when the first rule asks.
#ifndef RULES_GOROUTINES_H
#define RULES_GOROUTINES_H

#include "goruntime/waits.h"
#include "rules/rule.h"
#include "rules/wakeable.h"

enum sleep {
	SLEEP_ENDS,
	// Nothing can ever wake it.
	SLEEP_FOREVER,
	// A ticker wakes it, but of the other channels that it waits for nobody can reach one: a loop round a ticker
	// and a channel called done, which nobody can end.
	SLEEP_IN_LOOP,
	// For ever, and some finding has told of it and counted what it keeps.
	SLEEP_TOLD,
};

struct goroutine_state {
	enum sleep sleep;
	uint64_t
		loop_bytes; // SLEEP_IN_LOOP: of the objects that only such loops keep; each counted for one
};

struct goroutine_evidence {
	struct waits waits; // by goroutine
	node_id *
		nodes; // by goroutine: of its own holder in the graph; NODE_NONE when it holds nothing
	struct goroutine_state *states; // by goroutine
	uint32_t forever, in_loop;      // how many
	struct graph_walk
		*others; // has met what all can reach who do not sleep for ever, and may be gone on
			 // with; NULL when none was asked about
};

struct error *goroutine_evidence(struct rule_run *run, struct goroutine_evidence **out);
void goroutine_evidence_destroy(struct goroutine_evidence *evidence); // accepts NULL

// Lets evidence->others go on through a goroutine that sleeps for ever, its sudogs included.
struct error *goroutine_walk(const struct goroutine_evidence *evidence, uint32_t goroutine);

#endif
