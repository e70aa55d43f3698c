// Goroutines: what each one is doing, since when, and the roots on its stack.
#ifndef GORUNTIME_GOROUTINE_H
#define GORUNTIME_GOROUTINE_H

#include "goruntime/heap.h"

struct roots;

enum goroutine_status {
	GOROUTINE_IDLE,
	GOROUTINE_RUNNABLE,
	GOROUTINE_RUNNING,
	GOROUTINE_SYSCALL,
	GOROUTINE_WAITING,
	GOROUTINE_DEAD,
	GOROUTINE_COPYSTACK,
	GOROUTINE_PREEMPTED,
	GOROUTINE_OTHER,
};

struct goroutine {
	uint64_t id, parent_id; // parent 0: unknown to this version
	remote_addr address;    // of the g
	enum goroutine_status status;
	const char *wait_reason; // Go's own words ("chan receive", "select"); the status's name
				 // when not waiting
	uint64_t wait_ns; // how long it has waited; 0 when unknown (Go keeps it only from the first
			  // collection on)
	remote_addr pc, sp;     // where unwinding starts
	remote_addr created_at; // gopc: where the go statement returns to, 0 = none
	remote_addr start;      // startpc: the goroutine's function
	remote_addr stack_low, stack_high;
	remote_addr waiting;               // its first sudog when it waits for channels, or 0
	bool system;                       // one of the runtime's own
	uint32_t thread;                   // index in target->threads when on one, else UINT32_MAX
	uint32_t first_frame, frame_count; // in goroutine_list.frames
};

struct frame {
	remote_addr pc;     // an address inside the call (return address - 1), so that it names the
			    // right line
	remote_addr sp, fp; // [sp, fp) is the frame; fp: where the arguments start
	uint32_t function;  // index in the module's pclntab
	uint16_t module;
	uint16_t flags; // enum frame_flags
};
enum frame_flags {
	FRAME_CONSERVATIVE = 1, // no valid stack map here: scanned conservatively
	FRAME_INNERMOST = 2,
	FRAME_PANICKED = 4, // faulted here: goes on, if ever, with its deferred calls
};

struct goroutine_list {
	struct go_runtime *runtime;
	struct goroutine *goroutines; // all but dead and idle ones, by id
	uint32_t count;
	struct frame *frames; // of all goroutines
	uint32_t frame_count;
	uint64_t truncated_stacks; // stacks that did not unwind to their end: their rest is scanned
				   // conservatively
	struct goroutine_stack
		*stacks; // beside `goroutines`: what scanning needs to know (goroutine_private.h)
	struct wait_reasons *reasons; // owns the texts of wait_reason
};

// Reads all goroutines and unwinds their stacks.
struct error *goroutines_read(struct heap *heap, struct goroutine_list **out);
void goroutines_destroy(struct goroutine_list *list); // accepts NULL

// The roots of all goroutines: stack maps, stack objects (followed precisely, as the collector
// does), defers, panics, registers.
struct error *goroutines_roots(
	struct heap *heap, const struct goroutine_list *list, struct roots *out);

#endif
