// Slices: windows on shared bytes that know whom they keep alive.
//
// A slice is a window on a block with an owner count. A small slice of a large block keeps all of the block, as a
// substring does in Go; hw_slice_pinned() says how much that is, and hw_slice_compact() ends it.
//
//	struct hw_slice body, head;
//	if (!hw_slice_make(&body, bytes, length, NULL))     // a copy of the caller's bytes
//		...                                         // out of memory
//	hw_slice_share(&head, &body, 0, 16);                // no copy: keeps all of body's block
//	hw_slice_release(&body);
//	if (hw_slice_pinned(&head) > 1000)                  // bytes that nobody sees through this window
//		hw_slice_compact(&head, NULL);              // a block of its own, the large one goes
//	hw_slice_release(&head);
//
// The owner count is atomic: slices of one block may be used in different threads, a single slice in one at a time.
// The bytes must not change while they are shared. share and release are O(1); make, clone, compact are O(length).
#ifndef HEAPWHY_SLICE_H
#define HEAPWHY_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/allocator.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hw_slice_block {
	struct hw_allocator *allocator;
	size_t bytes;    // of `data`
	uint64_t owners; // slices on this block
	char data[];
};

struct hw_slice {
	struct hw_slice_block *block; // NULL: an empty slice that owns nothing
	char *data;
	size_t length;
};

// A slice on a copy of `length` bytes; `bytes` NULL: they are not set. False when out of memory; `slice` is untouched.
bool hw_slice_make(
	struct hw_slice *slice, const void *bytes, size_t length, struct hw_allocator *allocator);

// A window on `of`, which stays as it is: `length` bytes from `offset` on, or as many as there are.
void hw_slice_share(
	struct hw_slice *slice, const struct hw_slice *of, size_t offset, size_t length);

// Gives up this slice's share; the last one frees the block. The slice is empty afterwards.
void hw_slice_release(struct hw_slice *slice);

// A slice with a block of its own. False when out of memory.
bool hw_slice_clone(
	struct hw_slice *slice, const struct hw_slice *of, struct hw_allocator *allocator);

// The bytes of the block that lie outside of this window.
size_t hw_slice_pinned(const struct hw_slice *slice);

// The slice gets a block of its own, no larger than it, unless it has one already. False when out of memory: nothing
// has changed.
bool hw_slice_compact(struct hw_slice *slice, struct hw_allocator *allocator);

#ifdef __cplusplus
}
#endif

#endif
