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
// Under valgrind and the address sanitizer what pools, arenas and rings hold idle cannot be touched at all: they complain
// themselves, at the very instruction, and the report says where a pool's node was allocated and freed. The program must
// have been built with the sanitizer; the library need not.
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
	HW_USED_AFTER_FREE,    // the address sanitizer noticed
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

// Whose is this? False unless `memory` lies in a node of a pool in debug mode; else `known` gets the node, and where it
// was freed (`before`, NULL when it is not) and allocated. For debuggers and signal handlers: the pools must not be in use
// meanwhile. O(slabs).
bool hw_debug_find(const void *memory, struct hw_violation *known);

// "freed twice: 0x55d0 (32 bytes), here: a.c:3, before: a.c:2, allocated: a.c:1"; returns the length like snprintf.
int hw_violation_print(const struct hw_violation *violation, char *text, size_t size);

// For containers: report; fill freed memory with a pattern; is the pattern still there; tell valgrind and the address
// sanitizer that memory must not be touched, or that it may be written.
void hw_debug_report(const struct hw_violation *violation);
void hw_debug_poison(void *memory, size_t bytes);
bool hw_debug_is_poisoned(const void *memory, size_t bytes);
void hw_debug_forbid(const void *memory, size_t bytes);
void hw_debug_allow(const void *memory, size_t bytes);

// The same for pools: valgrind then knows each piece, and who took it and gave it back. It can tell so only of pieces of
// memory that does not come from malloc. `owner` is any address of the pool's own.
void hw_debug_owner(const void *owner);
void hw_debug_given(const void *owner, void *piece, size_t bytes);
void hw_debug_given_back(const void *owner, void *piece, size_t bytes);
void hw_debug_moved(const void *owner, void *from, void *to, size_t bytes);
void hw_debug_goodbye(const void *owner);

// What hw_debug_find() asks: in a list of all containers that remember where their pieces were allocated and freed.
struct hw_debug_witness {
	struct hw_debug_witness *next, *previous;
	bool (*find)(const struct hw_debug_witness *witness, const void *memory,
		struct hw_violation *known);
};

void hw_debug_witness_add(struct hw_debug_witness *witness);
void hw_debug_witness_remove(struct hw_debug_witness *witness);

#ifdef __cplusplus
}
#endif

#endif
