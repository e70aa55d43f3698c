// Debug mode: mistakes with nodes and handles are caught where they happen, and both places are named.
//
// In debug mode pools poison freed nodes and keep them out of use for a while, remember where each node was allocated
// and freed, and check all of that. It is on when the environment has HEAPWHY_DEBUG=1, under valgrind, in a build with
// the address sanitizer, or after hw_debug_enable(true). A container looks once, when it is made. Off, it costs
// nothing: it hides behind branches that exist anyway.
//
//	$ HEAPWHY_DEBUG=1 ./orders
//	heapwhy: freed twice: 0x7f2a10f0 (32 bytes), here: orders.c:88, before: orders.c:61, allocated: orders.c:40
//
// Under valgrind and the address sanitizer freed nodes cannot be touched at all: they complain themselves, at the very
// instruction.
#ifndef HEAPWHY_DEBUG_H
#define HEAPWHY_DEBUG_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// "file.c:12", a constant.
#define HW_HERE __FILE__ ":" HW_HERE_STRING_(__LINE__)
#define HW_HERE_STRING_(line) HW_HERE_STRING2_(line)
#define HW_HERE_STRING2_(line) #line

enum hw_mistake {
	HW_FREED_TWICE,
	HW_WRITTEN_AFTER_FREE, // noticed when the memory is about to be used again
	HW_NOT_FROM_HERE,      // freed into a container that it does not come from
	HW_STALE_HANDLE,       // what the handle meant is gone
	HW_CHANGED_MEANWHILE,  // the container changed under an iterator
};

struct hw_violation {
	enum hw_mistake mistake;
	const void *memory;
	size_t bytes;
	const char *here;      // where it was noticed; the places are NULL where unknown
	const char *before;    // where it was freed, or changed
	const char *allocated; // where it was allocated
};

// Told of each violation by the thread that made it; when it returns, the offending call does nothing. The one in
// force at the start writes a line to standard error and aborts. Returns the one before; NULL sets that one again.
typedef void hw_debug_handler(const struct hw_violation *violation);
hw_debug_handler *hw_debug_set_handler(hw_debug_handler *handler);

void hw_debug_enable(bool on);
bool hw_debug_enabled(void);

// "freed twice: 0x55d0 (32 bytes), here: a.c:3, before: a.c:2, allocated: a.c:1"; returns the length like snprintf.
int hw_violation_print(const struct hw_violation *violation, char *text, size_t size);

// For containers: report; fill freed memory with a pattern; is the pattern still there; tell valgrind and the address
// sanitizer that memory must not be touched, or that it may be written.
void hw_debug_report(const struct hw_violation *violation);
void hw_debug_poison(void *memory, size_t bytes);
bool hw_debug_is_poisoned(const void *memory, size_t bytes);
void hw_debug_forbid(const void *memory, size_t bytes);
void hw_debug_allow(const void *memory, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
