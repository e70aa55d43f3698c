// Which words of a type are pointers, as the collector sees it, made into a pattern that tiles an
// object of one or more values of that type. For objects that tell their type: malloc headers and
// mspan.largeType, go 1.22 on.
//
//	struct gc_masks masks;
//	gc_masks_init(&masks, runtime, &memory);
//	const struct gc_pattern *pattern = gc_pattern(&masks, type, object_bytes);
//	if (pattern)
//		uint64_t pointers = gc_pattern_bits(pattern, word);
//	gc_masks_deinit(&masks);
//
// One cache belongs to one thread. Memory: about a bit for each word of each type seen, at most
// GC_MASKS_BYTES_MAX and the pattern in use.
#ifndef GORUNTIME_GC_MASK_H
#define GORUNTIME_GC_MASK_H

#include "goruntime/bits.h"
#include "goruntime/runtime.h"
#include "heapwhy/arena.h"
#include "heapwhy/map.h"

enum { GC_MASKS_BYTES_MAX = 64 << 20 };

struct gc_pattern {
	uint64_t period;      // words of one value
	const uint64_t *bits; // `period` bits, and then the first ones once more, so that any 64
			      // can be taken at once
};

struct gc_masks {
	const struct go_runtime *runtime;
	struct memory *memory;
	struct hw_arena arena;
	struct hw_map patterns; // address of the type -> struct gc_pattern, 0 for a damaged type
	remote_addr last_type;
	const struct gc_pattern *last;
};

void gc_masks_init(struct gc_masks *masks, const struct go_runtime *runtime, struct memory *memory);
void gc_masks_deinit(struct gc_masks *masks);

// The pattern of the abi.Type at `type`, valid until the next call. NULL when the type is damaged,
// does not fit into an object of `object_bytes`, or memory runs out.
const struct gc_pattern *gc_pattern(
	struct gc_masks *masks, remote_addr type, uint64_t object_bytes);

// The pointer bits of 64 words of an object tiled with the pattern, from word `word` of its
// contents on.
static inline uint64_t gc_pattern_bits(const struct gc_pattern *pattern, uint64_t word)
{
	return bits_extract(pattern->bits, word < pattern->period ? word : word % pattern->period);
}

#endif
