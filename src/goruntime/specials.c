// See specials.h.
#include "goruntime/specials.h"

#include "goruntime/runtime_private.h"

// More on one span is a damaged list. An object may have many cleanups.
enum { SPECIALS_MAX = 1 << 22 };

bool specials_walk(
	const struct heap *heap, const struct span *span, special_visit visit, void *context)
{
	const struct layout_offsets *at = &heap->runtime->layout.at;
	struct memory *memory = &heap->runtime->memory;
	// runtime/mheap.go, special.offset: uint16 up to 1.23, uintptr from 1.24 on.
	bool narrow = at->special_kind - at->special_offset == 2;
	remote_addr address = span->specials;
	struct list_guard guard = {0};

	for (unsigned i = 0; address; i++) {
		if (i == SPECIALS_MAX || !list_guard_step(&guard, address)) {
			memory->faults++;
			return true;
		}
		uint64_t faults = memory->faults;
		remote_addr at_offset = address + (uint32_t)at->special_offset;
		uint64_t offset =
			narrow ? memory_u16(memory, at_offset) : memory_u64(memory, at_offset);
		// A finalizer may be set on an inner byte of a tiny object.
		uint64_t slot = offset / span->elem_size;
		struct special special = {
			.address = address,
			.kind = memory_u8(memory, address + (uint32_t)at->special_kind),
			.object = span->first + (object_id)slot,
		};

		address = memory_u64(memory, address + (uint32_t)at->special_next);
		if (memory->faults != faults)
			return true;
		if (slot >= span->count) {
			memory->faults++;
			return true;
		}
		if (!visit(context, &special))
			return false;
	}
	return true;
}
