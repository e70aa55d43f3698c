// Walking a goroutine's stack as runtime.unwinder does (runtime/traceback.go; gentraceback up
// to 1.20).
//
// What an address of code means to the walk is looked up once and remembered: a hundred thousand
// goroutines wait at a few dozen places. One unwinder belongs to one thread.
#ifndef GORUNTIME_UNWIND_H
#define GORUNTIME_UNWIND_H

#include "debuginfo/pclntab.h"
#include "goruntime/goroutine.h"
#include "heapwhy/map.h"
#include "heapwhy/vector.h"

// Functions that the walk or the scan treats specially. Told by name: the numbers that the runtime
// uses itself (abi.FuncID) change from version to version.
enum function_kind {
	FUNCTION_ORDINARY,
	FUNCTION_RUNTIME, // of the runtime, or in assembly: may hold pointers that no stack map
			  // tells of
	FUNCTION_ASYNC_PREEMPT, // pushed by a signal at any instruction
	FUNCTION_DEBUG_CALL,    // the same, by a debugger
	FUNCTION_SIGPANIC,      // pushed by a signal where an instruction faulted
	FUNCTION_GOGO,          // is about to jump to g.sched.pc
	FUNCTION_CGO_CALLBACK,  // C calls Go: joins the two stacks
	FUNCTION_STACK_SWITCH, // systemstack, mcall, morestack, asmcgocall: g.sched tells where the
			       // goroutine is
	FUNCTION_REFLECT_STUB, // reflect.makeFuncStub and methodValueCall: arguments described at
			       // run time
};

// What is to be known about one address of code.
struct code_point {
	remote_addr pc, entry;
	uint32_t function; // index in the module's pclntab
	uint16_t module;
	uint8_t kind;       // enum function_kind
	uint8_t flag;       // FUNC_FLAG_*
	int32_t frame_size; // bytes between sp and the return address; -1 unknown
};

// Bytes of a stack: [low, high) of the target is at bytes[0 .. high - low).
struct stack_bytes {
	const uint8_t *bytes;
	remote_addr low, high;
};

static inline bool stack_word(const struct stack_bytes *stack, remote_addr address, uint64_t *word)
{
	if (stack->high - stack->low < 8 || address < stack->low || address > stack->high - 8)
		return false;
	__builtin_memcpy(word, stack->bytes + (address - stack->low), 8);
	return true;
}

struct unwinder {
	struct go_runtime *runtime;
	struct hw_map index; // pc -> number in points
	HW_VECTOR(struct code_point) points;
};

struct frame_vector {
	struct frame *items;
	size_t count, capacity;
};

void unwinder_init(struct unwinder *unwinder, struct go_runtime *runtime);
void unwinder_deinit(struct unwinder *unwinder);

// What is known about `pc`; NULL when it is not in a Go function. Good until the next call.
const struct code_point *unwinder_point(struct unwinder *unwinder, remote_addr pc);

// FUNCTION_ORDINARY and so on, for a function of that name.
enum function_kind function_kind(const struct pcln_function *function);

// Where a walk starts.
struct unwind_start {
	remote_addr pc, sp;
	remote_addr link; // arm64: the register with the return address; 0: it is on the stack
	bool exact; // `pc` is an instruction that a thread was stopped at, not the place where the
		    // goroutine parked
	bool unsettled; // the goroutine runs: the runtime's frames, and the first other one, have
			// no valid stack map
};

enum unwind_end {
	UNWIND_COMPLETE,  // up to the goroutine's outermost function
	UNWIND_TRUNCATED, // a return address led nowhere, or out of the stack
	UNWIND_NO_MEMORY,
};

// Appends the frames of a goroutine's stack, innermost first.
enum unwind_end unwind(struct unwinder *unwinder, const struct stack_bytes *stack,
	const struct unwind_start *start, struct frame_vector *frames);

// True when a walk over a thread's own stack (g0) from `start` reaches the place where it left the
// goroutine's stack by way of systemstack, mcall, morestack or the scheduler: g.sched then tells
// where the goroutine is. False for code that borrows the stack without leaving word, like the race
// detector's calls.
bool unwind_to_stack_switch(struct unwinder *unwinder, const struct stack_bytes *stack,
	const struct unwind_start *start);

// The end of a frame's local variables: their maps and stack objects count down from here. arm64
// mimics amd64 (runtime/traceback.go): the word below frame.fp is the return address that the caller
// has saved for itself, and the one below that the frame pointer.
static inline remote_addr frame_locals_end(const struct frame *frame)
{
	remote_addr end = frame->fp - 8; // the return address

	return end > frame->sp ? end - 8 : end; // the saved frame pointer
}

#endif
