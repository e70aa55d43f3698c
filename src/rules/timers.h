// What several rules ask about timers. Computed once, when the first rule asks.
#ifndef RULES_TIMERS_H
#define RULES_TIMERS_H

#include "goruntime/timers.h"
#include "heapwhy/map.h"
#include "rules/rule.h"

struct timer_evidence {
	HW_VECTOR(struct timer) list; // those alive, by object
	struct hw_map tickers;        // the channels (objects) that a ticker sends to
};

struct error *timer_evidence(struct rule_run *run, struct timer_evidence **out);
void timer_evidence_destroy(struct timer_evidence *evidence); // accepts NULL

#endif
