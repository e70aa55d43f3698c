// A pool for each size class. See heapwhy/slab.h.
#include "heapwhy/slab.h"

enum {
	LINEAR_MAX = 64, // classes are 8 bytes apart up to here
	LINEAR_CLASSES = 8,
	FIRST_EXPONENT = 6, // 64 is 1 << 6
	ALIGNMENT = 16,
};

static const struct hw_measure slab_measures[] = {
	HW_MEASURE(HW_COUNT, struct hw_slab, count),
	HW_MEASURE(HW_USED_BYTES, struct hw_slab, used_bytes),
	HW_MEASURE(HW_HELD_BYTES, struct hw_slab, held.used_bytes),
	HW_MEASURE(HW_PEAK_BYTES, struct hw_slab, held.peak_bytes),
};
static const struct hw_kind slab_kind = HW_KIND("slab allocator", slab_measures);

// Which class a block of up to HW_SLAB_SMALL_MAX bytes belongs to, and how large its blocks are.
static unsigned class_of(size_t bytes, size_t *rounded)
{
	if (!bytes)
		bytes = 1;
	if (bytes <= LINEAR_MAX) {
		*rounded = (bytes + 7) & ~(size_t)7;
		return (unsigned)(*rounded / 8 - 1);
	}
	unsigned exponent = 63 - (unsigned)__builtin_clzll(bytes - 1);
	unsigned eighth = (unsigned)((bytes - 1) >> (exponent - 3)); // 8 to 15
	*rounded = (size_t)(eighth + 1) << (exponent - 3);
	return LINEAR_CLASSES + (exponent - FIRST_EXPONENT) * 8 + eighth - 8;
}

size_t hw_slab_rounded(size_t bytes)
{
	size_t rounded = bytes;

	if (bytes <= HW_SLAB_SMALL_MAX)
		class_of(bytes, &rounded);
	return rounded;
}

void *hw_slab_alloc(struct hw_slab *slab, size_t bytes)
{
	size_t rounded = bytes;
	void *block = bytes <= HW_SLAB_SMALL_MAX
			      ? hw_pool_alloc(&slab->pools[class_of(bytes, &rounded)])
			      : hw_alloc(&slab->held.allocator, bytes, ALIGNMENT);

	if (block) {
		slab->count++;
		slab->used_bytes += rounded;
	}
	return block;
}

void hw_slab_free(struct hw_slab *slab, void *block, size_t bytes)
{
	size_t rounded = bytes;

	if (!block)
		return;
	if (bytes <= HW_SLAB_SMALL_MAX)
		hw_pool_free(&slab->pools[class_of(bytes, &rounded)], block);
	else
		hw_free(&slab->held.allocator, block, bytes, ALIGNMENT);
	slab->count--;
	slab->used_bytes -= rounded;
}

// How many bytes to ask for so that the class's blocks have the alignment. 0: none has it.
static size_t bytes_aligned(size_t bytes, size_t alignment)
{
	if (alignment <= ALIGNMENT)
		return (bytes + alignment - 1) & ~(alignment - 1);
	size_t power = alignment;
	while (power < bytes && power <= HW_SLAB_SMALL_MAX)
		power *= 2;
	return power <= HW_SLAB_SMALL_MAX ? power : 0;
}

static struct hw_slab *slab_of(struct hw_allocator *allocator)
{
	return (struct hw_slab *)((char *)allocator - offsetof(struct hw_slab, allocator));
}

static void *slab_alloc(struct hw_allocator *self, size_t bytes, size_t alignment)
{
	struct hw_slab *slab = slab_of(self);
	size_t wanted = bytes_aligned(bytes, alignment);

	return wanted ? hw_slab_alloc(slab, wanted)
		      : hw_alloc(&slab->held.allocator, bytes, alignment);
}

static void slab_free(struct hw_allocator *self, void *memory, size_t bytes, size_t alignment)
{
	struct hw_slab *slab = slab_of(self);
	size_t wanted = bytes_aligned(bytes, alignment);

	if (wanted)
		hw_slab_free(slab, memory, wanted);
	else
		hw_free(&slab->held.allocator, memory, bytes, alignment);
}

void hw_slab_init(struct hw_slab *slab, struct hw_allocator *backing)
{
	slab->allocator = (struct hw_allocator){slab_alloc, slab_free, NULL};
	slab->count = slab->used_bytes = 0;
	hw_budget_init(&slab->held, NULL, 0);
	slab->held.backing = backing;
	hw_unregister(
		&slab->held.registration); // the slab allocator answers for it, and for its pools
	for (size_t bytes = 1, rounded; bytes <= HW_SLAB_SMALL_MAX; bytes = rounded + 1) {
		struct hw_pool *pool = &slab->pools[class_of(bytes, &rounded)];
		hw_pool_init(pool, rounded, &slab->held.allocator);
		hw_unregister(&pool->registration);
	}
	hw_register(&slab->registration, &slab_kind, backing);
}

void hw_slab_deinit(struct hw_slab *slab)
{
	hw_unregister(&slab->registration);
	for (unsigned i = 0; i < HW_SLAB_CLASSES; i++)
		hw_pool_deinit(&slab->pools[i]);
	hw_budget_deinit(&slab->held);
}

void hw_slab_trim(struct hw_slab *slab)
{
	for (unsigned i = 0; i < HW_SLAB_CLASSES; i++)
		hw_pool_trim(&slab->pools[i]);
}
