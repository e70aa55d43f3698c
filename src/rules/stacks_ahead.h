// What goroutines can still get at through their stacks: not all that the words there lead to, but what the code ahead of
// each frame may look at of that (goruntime/code_use.h).
//
//	err = stacks_ahead_walk(run, FRAME_RECEIVES, counts, context, walk);
//
// Frames whose code is not understood count with all that they hold, and so do the runtime's own, registers, and calls that
// are deferred.
#ifndef RULES_STACKS_AHEAD_H
#define RULES_STACKS_AHEAD_H

#include "goruntime/code_use.h"
#include "graph/walk.h"
#include "rules/rule.h"

// Whether the goroutine is to be asked.
typedef bool goroutine_test(const void *context, uint32_t goroutine);

// `walk` goes on from everything that they may look at.
struct error *stacks_ahead_walk(struct rule_run *run, enum frame_question question,
	goroutine_test *counts, const void *context, struct graph_walk *walk);

#endif
