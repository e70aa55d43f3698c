// Segments in a ring of pointers. See heapwhy/ring.h.
#include "heapwhy/ring.h"

enum { SEGMENT_BYTES = 4096, SEGMENT_VALUES_MIN = 4, DIRECTORY_MIN = 4, ALIGNMENT = 16 };

static const struct hw_measure ring_measures[] = {
	HW_MEASURE(HW_COUNT, struct hw_ring, count),
	HW_MEASURE_PRODUCT(HW_USED_BYTES, struct hw_ring, count, value_bytes, 1),
	HW_MEASURE(HW_HELD_BYTES, struct hw_ring, held_bytes),
};
static const struct hw_kind ring_kind = HW_KIND("ring", ring_measures);

void hw_ring_init(
	struct hw_ring *ring, size_t value_bytes, uint64_t limit, struct hw_allocator *allocator)
{
	*ring = (struct hw_ring){
		.limit = limit ? limit : UINT64_MAX,
		.value_bytes = value_bytes ? (value_bytes + 7) & ~(size_t)7 : 8,
		.copy_bytes = (uint32_t)value_bytes,
		.allocator = allocator,
	};
	while (UINT64_C(1) << ring->shift < SEGMENT_VALUES_MIN ||
		ring->value_bytes << (ring->shift + 1) <= SEGMENT_BYTES)
		ring->shift++;
	hw_register(&ring->registration, &ring_kind, allocator);
}

static size_t segment_bytes(const struct hw_ring *ring)
{
	return ring->value_bytes << ring->shift;
}

static char **directory_place(const struct hw_ring *ring, uint64_t segment)
{
	return &ring->directory[(ring->directory_first + segment) % ring->directory_capacity];
}

static void segment_free(struct hw_ring *ring, char *segment)
{
	if (!segment)
		return;
	hw_free(ring->allocator, segment, segment_bytes(ring), ALIGNMENT);
	ring->held_bytes -= segment_bytes(ring);
}

static void directory_free(struct hw_ring *ring)
{
	size_t bytes = ring->directory_capacity * sizeof(ring->directory[0]);

	hw_free(ring->allocator, ring->directory, bytes, ALIGNMENT);
	ring->held_bytes -= bytes;
	ring->directory = NULL;
	ring->directory_capacity = 0;
}

void hw_ring_clear(struct hw_ring *ring)
{
	for (uint64_t i = 0; i < ring->segment_count; i++)
		segment_free(ring, *directory_place(ring, i));
	segment_free(ring, ring->spare);
	directory_free(ring);
	ring->count = ring->first = ring->segment_count = ring->directory_first = 0;
	ring->spare = ring->push_at = ring->push_end = NULL;
}

void hw_ring_deinit(struct hw_ring *ring)
{
	hw_unregister(&ring->registration);
	hw_ring_clear(ring);
}

static bool directory_resize(struct hw_ring *ring, uint64_t capacity)
{
	size_t bytes = capacity * sizeof(ring->directory[0]);
	char **directory = hw_alloc(ring->allocator, bytes, ALIGNMENT);

	if (!directory)
		return false;
	for (uint64_t i = 0; i < ring->segment_count; i++)
		directory[i] = *directory_place(ring, i);
	directory_free(ring);
	ring->directory = directory;
	ring->directory_capacity = capacity;
	ring->directory_first = 0;
	ring->held_bytes += bytes;
	return true;
}

bool hw_ring_grow_(struct hw_ring *ring)
{
	if (ring->count == ring->limit)
		return false;
	uint64_t capacity = ring->directory_capacity;
	if (ring->segment_count == capacity &&
		!directory_resize(ring, capacity + capacity / 2 + DIRECTORY_MIN))
		return false;
	char *segment = ring->spare;
	ring->spare = NULL;
	if (!segment) {
		segment = hw_alloc(ring->allocator, segment_bytes(ring), ALIGNMENT);
		if (!segment)
			return false;
		ring->held_bytes += segment_bytes(ring);
	}
	*directory_place(ring, ring->segment_count++) = segment;
	ring->push_at = segment;
	ring->push_end = segment + segment_bytes(ring);
	return true;
}

// The first segment has no more values: it becomes the spare one, or goes if there is one.
void hw_ring_drop_segment_(struct hw_ring *ring)
{
	char *segment = *directory_place(ring, 0);

	ring->first = 0;
	ring->segment_count--;
	if (++ring->directory_first == ring->directory_capacity)
		ring->directory_first = 0;
	if (!ring->segment_count)
		ring->push_at = ring->push_end = NULL;
	if (ring->spare)
		segment_free(ring, segment);
	else
		ring->spare = segment;
	uint64_t capacity = ring->directory_capacity;
	if (capacity > 4 * DIRECTORY_MIN && ring->segment_count < capacity / 4)
		directory_resize(ring, capacity / 2); // failing is no failure
}
