// What reading the goroutines finds out for scanning their stacks later.
#ifndef GORUNTIME_GOROUTINE_PRIVATE_H
#define GORUNTIME_GOROUTINE_PRIVATE_H

#include "goruntime/goroutine.h"
#include "goruntime/unwind.h"

// How well it is known where a goroutine stands on its stack.
enum stack_position {
	STACK_PARKED,    // at a safepoint of its own choosing: g.sched or g.syscallsp tell, exactly
	STACK_RUNNING,   // at any instruction, known from a thread's registers
	STACK_ON_THREAD, // its thread works for it on another stack: g.sched tells, the runtime is
			 // half-way through
	STACK_MOVING,    // its stack is being copied or examined by the runtime: some pointers may
			 // lead to the old one
	STACK_UNKNOWN,   // nothing tells
};

struct goroutine_stack {
	enum stack_position position;
	struct unwind_start start;
	bool complete;       // the frames reach the goroutine's outermost function
	bool registers;      // its thread's registers belong to it
	remote_addr top;     // g.stktopsp: sp of the outermost frame
	remote_addr context; // g.sched.ctxt: the closure of a goroutine that has not run, or that
			     // is growing its stack
	remote_addr defers, panics; // g._defer, g._panic
	// Memory outside of the stack that may hold its pointers, each [low, high), empty when low
	// is 0: registers saved by a signal, the used part of its thread's stack, vector registers
	// saved by asynchronous preemption.
	remote_addr signal_low, signal_high;
	remote_addr thread_low, thread_high;
	remote_addr vector_low, vector_high;
	remote_addr vector_pending_low, vector_pending_high;
};

// The part of a stack that is in use: what has to be read to walk and scan it.
static inline remote_addr goroutine_stack_low(
	const struct goroutine *goroutine, const struct goroutine_stack *stack)
{
	return stack->position == STACK_UNKNOWN ? goroutine->stack_low : stack->start.sp;
}

// The fields of a runtime.g and its runtime.m that say where the goroutine stands.
struct goroutine_record {
	remote_addr g, m;
	uint32_t status; // without _Gscan
	bool scan;       // _Gscan: some thread examines or copies the stack
	bool async_safe_point;
	remote_addr sched_pc, sched_sp, syscall_pc, syscall_sp;
	remote_addr
		sched_link; // arm64: of a goroutine that has not run, where its function returns to
	remote_addr vector_state;
};

// Fills position, start, registers and the ranges of `stack`, and the thread of `goroutine`, whose
// stack bounds are set.
void goroutine_locate(struct unwinder *unwinder, const struct hw_map *threads,
	const struct goroutine_record *record, struct goroutine *goroutine,
	struct goroutine_stack *stack);

// Go's words for each number of runtime.waitReason, read from the target: the numbers change from
// version to version.
struct wait_reasons {
	const char **texts;
	unsigned count;
};

enum { WAIT_REASONS_MAX = 128, WAIT_REASON_BYTES_MAX = 64 };

// Finds none when the array cannot be recognised: waiting goroutines then are just "waiting".
struct error *wait_reasons_read(struct go_runtime *runtime, struct wait_reasons *out);
void wait_reasons_deinit(struct wait_reasons *reasons);

#endif
