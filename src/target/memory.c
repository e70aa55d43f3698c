// A two-way cache of 4 KiB blocks over a target. Only blocks that are readable as a whole are
// kept; everything else (the ragged end of a core file, a region of a test image) goes straight to
// the target.
//
// hw_cache is for many threads and remembers what was used; a word that is there took 1.4 times as long from it (10 ns
// against 7, with one block a set), and reading words is what typing and unwinding are made of.
#include "target/memory.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 4096, WAYS = 2 };

static const size_t DEFAULT_CACHE_BYTES = 4 << 20;

// No block of a target can start here: it is not aligned.
static const remote_addr NO_BLOCK = 1;

struct memory_block {
	uint8_t bytes[BLOCK_BYTES];
};

struct error *memory_init(struct memory *memory, struct target *target, size_t cache_bytes)
{
	unsigned bits = 1;

	if (cache_bytes == 0)
		cache_bytes = DEFAULT_CACHE_BYTES;
	while (bits < 20 && ((size_t)BLOCK_BYTES * WAYS << (bits + 1)) <= cache_bytes)
		bits++;
	size_t sets = (size_t)1 << bits;
	// The starts lie apart from the blocks, which take no memory until they are filled.
	*memory = (struct memory){.target = target,
		.blocks = malloc(sizeof(*memory->blocks) * WAYS * sets),
		.starts = malloc(sizeof(*memory->starts) * WAYS * sets),
		.older = calloc(sets, sizeof(*memory->older)),
		.set_bits = bits};
	if (!memory->blocks || !memory->starts || !memory->older) {
		memory_deinit(memory);
		return error_no_memory();
	}
	for (size_t i = 0; i < WAYS * sets; i++)
		memory->starts[i] = NO_BLOCK;
	return NULL;
}

void memory_deinit(struct memory *memory)
{
	free(memory->blocks);
	free(memory->starts);
	free(memory->older);
	memory->blocks = NULL;
	memory->starts = NULL;
	memory->older = NULL;
}

// Scattered, for tables that are read side by side often lie at the same place of different megabytes.
static size_t memory_set(const struct memory *memory, remote_addr address)
{
	uint64_t block = address / BLOCK_BYTES;

	return (size_t)(block * UINT64_C(0x9e3779b97f4a7c15) >> (64 - memory->set_bits));
}

// The block at `start` if it is there, or NULL.
static inline const struct memory_block *memory_cached(
	const struct memory *memory, size_t set, remote_addr start)
{
	const remote_addr *starts = &memory->starts[set * WAYS];

	return starts[0] == start   ? &memory->blocks[set * WAYS]
	       : starts[1] == start ? &memory->blocks[set * WAYS + 1]
				    : NULL;
}

// The cached block at `start`, or NULL when it is not readable as a whole.
static const struct memory_block *memory_block(struct memory *memory, remote_addr start)
{
	size_t set = memory_set(memory, start);
	const struct memory_block *cached = memory_cached(memory, set, start);

	if (cached)
		return cached;
	size_t slot = set * WAYS + memory->older[set];
	struct memory_block *block = &memory->blocks[slot];
	struct target *target = memory->target;
	// Half a block may have been overwritten by the time the read fails.
	memory->starts[slot] = NO_BLOCK;
	if (target->ops->read(target, start, block->bytes, BLOCK_BYTES) != BLOCK_BYTES)
		return NULL;
	target->bytes_read += BLOCK_BYTES;
	memory->starts[slot] = start;
	memory->older[set] ^= 1;
	return block;
}

static bool memory_read_slow(
	struct memory *memory, remote_addr address, uint8_t *buffer, size_t size)
{
	size_t done = 0;

	// Whoever reads this much at once will not come back for it: leave the cache alone.
	bool cached = size <= 4 * BLOCK_BYTES;
	while (done < size && cached) {
		size_t offset = (address + done) % BLOCK_BYTES;
		size_t part = BLOCK_BYTES - offset;
		const struct memory_block *block = memory_block(memory, address + done - offset);

		if (!block)
			break;
		if (part > size - done)
			part = size - done;
		memcpy(buffer + done, block->bytes + offset, part);
		done += part;
	}
	if (done < size) {
		struct target *target = memory->target;
		size_t part = target->ops->read(target, address + done, buffer + done, size - done);

		target->bytes_read += part;
		done += part;
	}
	if (done == size)
		return true;
	memory->target->faults++;
	memory->faults++;
	memset(buffer, 0, size);
	return false;
}

bool memory_read(struct memory *memory, remote_addr address, void *buffer, size_t size)
{
	size_t offset = address % BLOCK_BYTES;
	const struct memory_block *block =
		memory_cached(memory, memory_set(memory, address), address - offset);

	if (block && size <= BLOCK_BYTES - offset) {
		memcpy(buffer, block->bytes + offset, size);
		return true;
	}
	return memory_read_slow(memory, address, buffer, size);
}

uint64_t memory_u64(struct memory *memory, remote_addr address)
{
	uint64_t value;

	memory_read(memory, address, &value, sizeof(value));
	return value;
}

uint32_t memory_u32(struct memory *memory, remote_addr address)
{
	uint32_t value;

	memory_read(memory, address, &value, sizeof(value));
	return value;
}

uint16_t memory_u16(struct memory *memory, remote_addr address)
{
	uint16_t value;

	memory_read(memory, address, &value, sizeof(value));
	return value;
}

uint8_t memory_u8(struct memory *memory, remote_addr address)
{
	uint8_t value;

	memory_read(memory, address, &value, sizeof(value));
	return value;
}
