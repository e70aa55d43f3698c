// A slab allocator: blocks of any size up to 4 KiB from node pools, one a size class; larger ones from the allocator
// beneath. It is an allocator itself (heapwhy/allocator.h), so containers can be put on it.
//
//	struct hw_slab slab;
//	hw_slab_init(&slab, NULL);
//	char *name = hw_slab_alloc(&slab, length);          // NULL when out of memory
//	hw_slab_free(&slab, name, length);                  // the length is yours to remember
//	hw_slab_deinit(&slab);                              // small blocks still allocated go, too
//
// Classes are an eighth of a power of two apart, so at most 1/8 of a block over 64 bytes is lost to rounding. Blocks are
// aligned to the largest power of two that divides their rounded size; through the allocator, to what is asked. Memory
// returns in whole slabs, as from heapwhy/pool.h. All calls are O(1). Not thread-safe.
#ifndef HEAPWHY_SLAB_H
#define HEAPWHY_SLAB_H

#include <stddef.h>
#include <stdint.h>

#include "heapwhy/allocator.h"
#include "heapwhy/budget.h"
#include "heapwhy/pool.h"
#include "heapwhy/registry.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
	HW_SLAB_SMALL_MAX = 4096,
	HW_SLAB_CLASSES = 8 + 6 * 8, // 8 to 64 by 8, then eight to each power of two up to 4,096
};

struct hw_slab {
	struct hw_registration registration;
	struct hw_allocator allocator; // hand &slab->allocator to containers
	struct hw_budget held;         // counts what is taken from the allocator beneath
	uint64_t count, used_bytes;    // blocks allocated, and their bytes, rounded
	struct hw_pool pools[HW_SLAB_CLASSES];
};

// Takes no memory yet, but the struct itself is large (about 40 KiB): not for the stack.
void hw_slab_init(struct hw_slab *slab, struct hw_allocator *backing);
void hw_slab_deinit(struct hw_slab *slab);

void *hw_slab_alloc(struct hw_slab *slab, size_t bytes);
void hw_slab_free(struct hw_slab *slab, void *block, size_t bytes);

// Returns every slab without an allocated block. O(classes + slabs returned).
void hw_slab_trim(struct hw_slab *slab);

// The bytes that a block of `bytes` really takes.
size_t hw_slab_rounded(size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
