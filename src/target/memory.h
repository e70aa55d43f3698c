// A cached view of a target for chasing small structures. Reads of single words cost a few
// nanoseconds when their block is cached. A read that fails yields zeros and counts in `faults`;
// the caller decides what that means. One struct memory belongs to one thread; any number may look
// at one target.
//
//	struct memory memory;
//	struct error *err = memory_init(&memory, target, 0);
//	uint64_t word = memory_u64(&memory, address);
#ifndef TARGET_MEMORY_H
#define TARGET_MEMORY_H

#include "target/target.h"

struct memory_block;

struct memory {
	struct target *target;
	struct memory_block *blocks; // 4 KiB each, in sets of two
	remote_addr *starts;         // of each block
	uint8_t *older;              // of each set: which of its blocks was read first
	unsigned set_bits;
	uint64_t faults;
};

// `cache_bytes`: 0 means 4 MiB.
struct error *memory_init(struct memory *memory, struct target *target, size_t cache_bytes);
void memory_deinit(struct memory *memory);

// All or nothing: false (and zeros, and one more fault) when any byte is unreadable.
bool memory_read(struct memory *memory, remote_addr address, void *buffer, size_t size);

uint64_t memory_u64(struct memory *memory, remote_addr address);
uint32_t memory_u32(struct memory *memory, remote_addr address);
uint16_t memory_u16(struct memory *memory, remote_addr address);
uint8_t memory_u8(struct memory *memory, remote_addr address);

#endif
