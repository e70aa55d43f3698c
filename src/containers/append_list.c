// Segment s holds FIRST << s elements, for s > 0 preceded by as many in the segments before. The count is stored last,
// so whoever sees it also sees the segments and the elements.
#include "heapwhy/append_list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "containers/races.h"
#include "heapwhy/registry.h"

enum { LINE = 64, ALIGNMENT = 16, FIRST = 16, FIRST_BITS = 4, SEGMENTS = 44 };

struct hw_append_list {
	struct hw_registration registration;
	size_t element_bytes; // as appended
	size_t stride;        // from one element to the next
	size_t limit;
	char *segments[SEGMENTS]; // a segment is set before the first count that reaches into it
	_Alignas(LINE) _Atomic size_t count;
	_Alignas(LINE) pthread_mutex_t lock; // of those who append
	_Atomic size_t held_bytes;
};

static const struct hw_measure measures[] = {
	HW_MEASURE(HW_COUNT, struct hw_append_list, count),
	HW_MEASURE_PRODUCT(HW_USED_BYTES, struct hw_append_list, count, element_bytes, 1),
	HW_MEASURE(HW_HELD_BYTES, struct hw_append_list, held_bytes),
};
static const struct hw_kind kind = HW_KIND("append list", measures);

static size_t segment_elements(unsigned segment)
{
	return (size_t)FIRST << segment;
}

// Counted from FIRST on, the segment is the position of an index's highest bit.
static inline unsigned index_segment(size_t index)
{
	return 63 - FIRST_BITS - (unsigned)__builtin_clzll(index + FIRST);
}

static inline char *element_place(const struct hw_append_list *list, size_t index)
{
	unsigned segment = index_segment(index);

	return list->segments[segment] + (index + FIRST - segment_elements(segment)) * list->stride;
}

struct hw_append_list *hw_append_list_create(
	size_t element_bytes, size_t limit, struct hw_allocator *allocator)
{
	struct hw_append_list *list;

	if (!element_bytes || element_bytes > SIZE_MAX / 2 - ALIGNMENT ||
		!(list = hw_alloc(allocator, sizeof(*list), _Alignof(struct hw_append_list))))
		return NULL;
	memset(list, 0, sizeof(*list));
	list->element_bytes = element_bytes;
	list->stride = (element_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	list->limit = limit ? limit : SIZE_MAX;
	atomic_init(&list->held_bytes, sizeof(*list));
	pthread_mutex_init(&list->lock, NULL);
	hw_register(&list->registration, &kind, allocator);
	return list;
}

void hw_append_list_destroy(struct hw_append_list *list)
{
	if (!list)
		return;
	hw_unregister(&list->registration);
	for (unsigned segment = 0; segment < SEGMENTS; segment++)
		hw_free(list->registration.allocator, list->segments[segment],
			segment_elements(segment) * list->stride, LINE);
	pthread_mutex_destroy(&list->lock);
	hw_free(list->registration.allocator, list, sizeof(*list), _Alignof(struct hw_append_list));
}

// The segment of `index`, allocated if need be. Under the lock.
static bool segment_ensure(struct hw_append_list *list, size_t index)
{
	unsigned segment = index_segment(index);
	size_t bytes;

	if (index >= list->limit || segment >= SEGMENTS)
		return false;
	if (list->segments[segment])
		return true;
	if (__builtin_mul_overflow(segment_elements(segment), list->stride, &bytes))
		return false;
	list->segments[segment] = hw_alloc(list->registration.allocator, bytes, LINE);
	if (!list->segments[segment])
		return false;
	atomic_fetch_add_explicit(&list->held_bytes, bytes, memory_order_relaxed);
	return true;
}

void *hw_append_list_begin(struct hw_append_list *list)
{
	pthread_mutex_lock(&list->lock);
	size_t index = atomic_load_explicit(&list->count, memory_order_relaxed);
	if (!segment_ensure(list, index)) {
		pthread_mutex_unlock(&list->lock);
		return NULL;
	}
	return element_place(list, index);
}

void hw_append_list_commit(struct hw_append_list *list)
{
	size_t count = atomic_load_explicit(&list->count, memory_order_relaxed);

	race_point();
	atomic_store_explicit(&list->count, count + 1, memory_order_release);
	pthread_mutex_unlock(&list->lock);
}

bool hw_append_list_append(struct hw_append_list *list, const void *element)
{
	void *place = hw_append_list_begin(list);

	if (!place)
		return false;
	memcpy(place, element, list->element_bytes);
	hw_append_list_commit(list);
	return true;
}

size_t hw_append_list_count(const struct hw_append_list *list)
{
	return atomic_load_explicit(&list->count, memory_order_acquire);
}

const void *hw_append_list_at(const struct hw_append_list *list, size_t index)
{
	return element_place(list, index);
}
