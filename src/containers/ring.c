// Segments in a ring of pointers. See heapwhy/ring.h.
//
// In debug mode both limits of the fast ways are set such that each push and each pop goes the slow way.
#include "heapwhy/ring.h"

#include "heapwhy/debug.h"

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
		.debug = hw_debug_enabled(),
	};
	while (UINT64_C(1) << ring->shift < SEGMENT_VALUES_MIN ||
		ring->value_bytes << (ring->shift + 1) <= SEGMENT_BYTES)
		ring->shift++;
	if (!ring->debug)
		ring->first_end = UINT64_C(1) << ring->shift;
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
	if (ring->debug)
		hw_debug_allow(segment, segment_bytes(ring));
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

static bool segment_add(struct hw_ring *ring)
{
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
		if (ring->debug)
			hw_debug_forbid(segment, segment_bytes(ring));
	}
	*directory_place(ring, ring->segment_count++) = segment;
	ring->push_at = segment;
	ring->push_end = segment + segment_bytes(ring);
	return true;
}

// Is the last segment, if there is one, full?
static bool segment_is_full(const struct hw_ring *ring)
{
	return !ring->segment_count ||
	       ring->push_at ==
		       *directory_place(ring, ring->segment_count - 1) + segment_bytes(ring);
}

bool hw_ring_grow_(struct hw_ring *ring)
{
	if (ring->count == ring->limit || (segment_is_full(ring) && !segment_add(ring)))
		return false;
	if (ring->debug) {
		ring->push_end = ring->push_at + ring->value_bytes;
		hw_debug_allow(ring->push_at, ring->value_bytes);
	}
	return true;
}

// The first segment has no more values: it becomes the spare one, or goes if there is one.
static void segment_drop(struct hw_ring *ring)
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

void hw_ring_popped_(struct hw_ring *ring)
{
	if (ring->debug) {
		char *value = *directory_place(ring, 0) + (ring->first - 1) * ring->value_bytes;
		hw_debug_poison(value, ring->value_bytes);
		hw_debug_forbid(value, ring->value_bytes);
	}
	if (ring->first >> ring->shift)
		segment_drop(ring);
}
