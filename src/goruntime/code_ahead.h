// What a function that stands at some place can still do: which variables it may yet refer to, which functions it may
// yet call, whether it may come by the same place again. What only lies behind it does not count.
//
//	struct code_ahead ahead = {0};
//	if (code_ahead_find(runtime, &function, frame, &ahead))
//		use(ahead.operands.items[i]);
//	code_ahead_deinit(&ahead);
#ifndef GORUNTIME_CODE_AHEAD_H
#define GORUNTIME_CODE_AHEAD_H

#include "debuginfo/pclntab.h"
#include "goruntime/goroutine.h"
#include "heapwhy/vector.h"

struct code_ahead {
	HW_VECTOR(remote_addr) operands; // in the main program's data, in no order
	HW_VECTOR(remote_addr)
	calls;      // entries of functions; calls of func values and methods of
		    // interfaces are not told
	bool again; // the call that the frame waits for may be made once more
};

// `function` is the one that the frame is of. False when it cannot be told: on other machines than amd64, in functions with
// jump tables, of code that cannot be read.
bool code_ahead_find(const struct go_runtime *runtime, const struct pcln_function *function,
	const struct frame *frame, struct code_ahead *out);
void code_ahead_deinit(struct code_ahead *ahead);

// Does a call of the function with this name not come back? What ends in a panic (runtime/panic.go), and the stack's growing,
// which runs the function anew: behind the call lies what the compiler put there next.
bool code_never_returns(const char *name);

#endif
