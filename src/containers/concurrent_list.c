// Each segment's items lie in one array, with 0 for a hole. Adding is one store into a hole, removing is one store of
// 0: that is where they take effect for a reader, who scans the array without a lock. An array that is full, or hardly
// used, is replaced by a copy; nothing writes to the old one any more, so a reader that still scans it sees the segment
// as it was at the replacement, which happened after the reader began. An item never moves within an array, and is in
// at most one place: so no reader can overlook one that is there all the time, or see one twice.
#include "heapwhy/concurrent_list.h"

#include <pthread.h>
#include <string.h>
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
#include <emmintrin.h>
#endif

#include "containers/epoch_section.h"
#include "containers/races.h"
#include "heapwhy/registry.h"

enum {
	SEGMENTS = 16,
	LINE = 64,
	LINE_ITEMS = LINE / sizeof(uint64_t),
	STEP = 4, // items compared at a time; every capacity is a multiple
};

struct items {
	struct hw_epoch_garbage garbage; // its bytes are those of the whole
	struct hw_allocator *allocator;
	_Atomic size_t used; // slots from here on are holes: readers stop there
	_Alignas(32) _Atomic uint64_t slots[];
};

struct segment {
	_Alignas(LINE) pthread_mutex_t lock; // the writers'
	size_t count;
	size_t first_hole; // no hole comes before it
};

struct hw_concurrent_list {
	struct hw_registration registration;
	_Alignas(LINE) _Atomic(struct items *) items[SEGMENTS]; // together, for the readers
	struct hw_epoch *epoch;
	_Alignas(LINE) struct segment segments[SEGMENTS];
	_Alignas(LINE) _Atomic size_t count, held_bytes;
};

static const struct hw_measure measures[] = {
	HW_MEASURE(HW_COUNT, struct hw_concurrent_list, count),
	HW_MEASURE_TIMES(HW_USED_BYTES, struct hw_concurrent_list, count, sizeof(uint64_t)),
	HW_MEASURE(HW_HELD_BYTES, struct hw_concurrent_list, held_bytes),
};
static const struct hw_kind kind = HW_KIND("concurrent list", measures);

static unsigned item_segment(uint64_t item)
{
	return (unsigned)(item * UINT64_C(0x9e3779b97f4a7c15) >> 60);
}

static size_t items_capacity(const struct items *items)
{
	return (items->garbage.bytes - sizeof(*items)) / sizeof(uint64_t);
}

// Whoever has seen an item sees its slot counted.
static inline size_t items_used(const struct items *items)
{
	return atomic_load_explicit(&items->used, memory_order_acquire);
}

// Whole cache lines with room for `count` items and a quarter more.
static size_t items_bytes(size_t count)
{
	size_t bytes = sizeof(struct items) + (count + count / 4) * sizeof(uint64_t);

	return (bytes + LINE - 1) / LINE * LINE;
}

static void items_destroy(struct items *items)
{
	if (items)
		hw_free(items->allocator, items, items->garbage.bytes, LINE);
}

static void items_release(struct hw_epoch_garbage *garbage)
{
	items_destroy((struct items *)((char *)garbage - offsetof(struct items, garbage)));
}

static struct items *items_create(size_t count, struct hw_allocator *allocator)
{
	size_t bytes = items_bytes(count);
	struct items *items = hw_alloc(allocator, bytes, LINE);

	if (items) {
		memset(items, 0, bytes);
		items->allocator = allocator;
		items->garbage =
			(struct hw_epoch_garbage){.release = items_release, .bytes = bytes};
	}
	return items;
}

// Is any of the STEP slots from `slots` on `item`? Two at a time: the processor reads each aligned eight bytes in one
// piece, and what was stored before an item was is seen with it. (The thread sanitizer would not know.)
static inline bool slots_have(const _Atomic uint64_t *slots, uint64_t item)
{
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
	__m128i wanted = _mm_set1_epi64x((long long)item);
	__m128i low = _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)slots), wanted);
	__m128i high = _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)(slots + 2)), wanted);
	// Both halves of an item must be equal: gather the lower halves in one, the upper ones in the other.
	__m128 lower = _mm_shuffle_ps(_mm_castsi128_ps(low), _mm_castsi128_ps(high), 0x88);
	__m128 upper = _mm_shuffle_ps(_mm_castsi128_ps(low), _mm_castsi128_ps(high), 0xdd);

	return _mm_movemask_ps(_mm_and_ps(lower, upper)) != 0;
#else
	bool found = false;

	for (unsigned i = 0; i < STEP; i++)
		found |= atomic_load_explicit(&slots[i], memory_order_acquire) == item;
	return found;
#endif
}

static inline bool items_have(const struct items *items, uint64_t item)
{
	for (size_t at = 0, end = items_used(items); at < end; at += STEP) {
		race_point();
		if (slots_have(&items->slots[at], item))
			return true;
	}
	return false;
}

// Where `item` is, from `at` on, for the writer; what is used when it is absent.
static size_t items_find(const struct items *items, size_t at, uint64_t item)
{
	size_t end = items_used(items);

	for (at -= at % STEP; at < end; at += STEP)
		if (slots_have(&items->slots[at], item))
			break;
	while (at < end && atomic_load_explicit(&items->slots[at], memory_order_relaxed) != item)
		at++;
	return at < end ? at : end; // a last step may have gone beyond
}

// The array is the writer's while it holds the segment's lock, but for the readers.
static struct items *list_items(const struct hw_concurrent_list *list, unsigned segment)
{
	return atomic_load_explicit(&list->items[segment], memory_order_relaxed);
}

struct hw_concurrent_list *hw_concurrent_list_create(
	struct hw_epoch *epoch, struct hw_allocator *allocator)
{
	struct hw_concurrent_list *list =
		hw_alloc(allocator, sizeof(*list), _Alignof(struct hw_concurrent_list));

	if (!list)
		return NULL;
	memset(list, 0, sizeof(*list));
	list->epoch = epoch;
	hw_register(&list->registration, &kind, allocator);
	size_t held = sizeof(*list);
	bool complete = true;
	for (unsigned i = 0; i < SEGMENTS; i++) {
		struct items *items = items_create(1, allocator);
		pthread_mutex_init(&list->segments[i].lock, NULL);
		atomic_init(&list->items[i], items);
		complete = complete && items;
		held += items_bytes(1);
	}
	atomic_init(&list->held_bytes, held);
	if (!complete) {
		hw_concurrent_list_destroy(list);
		return NULL;
	}
	return list;
}

void hw_concurrent_list_destroy(struct hw_concurrent_list *list)
{
	if (!list)
		return;
	hw_unregister(&list->registration);
	for (unsigned i = 0; i < SEGMENTS; i++) {
		items_destroy(list_items(list, i));
		pthread_mutex_destroy(&list->segments[i].lock);
	}
	hw_free(list->registration.allocator, list, sizeof(*list),
		_Alignof(struct hw_concurrent_list));
}

// Replaces the segment's array by one for `count` items. False when out of memory or refused.
static bool segment_resize(struct hw_concurrent_list *list, unsigned segment, size_t count)
{
	struct items *old = list_items(list, segment);
	size_t old_bytes = old->garbage.bytes, used = 0;

	if (!hw_epoch_admit(list->epoch, old_bytes))
		return false;
	struct items *items = items_create(count, list->registration.allocator);
	if (!items)
		return false;
	for (size_t at = 0, end = items_used(old); at < end; at++) {
		uint64_t item = atomic_load_explicit(&old->slots[at], memory_order_relaxed);
		if (item)
			atomic_init(&items->slots[used++], item);
	}
	atomic_init(&items->used, used);
	race_point();
	list->segments[segment].first_hole = used;
	atomic_fetch_add_explicit(
		&list->held_bytes, items->garbage.bytes - old_bytes, memory_order_relaxed);
	atomic_store_explicit(&list->items[segment], items, memory_order_release);
	hw_epoch_retire(list->epoch, &old->garbage);
	return true;
}

static enum hw_list_result segment_add(
	struct hw_concurrent_list *list, unsigned index, uint64_t item)
{
	struct segment *segment = &list->segments[index];
	struct items *items = list_items(list, index);

	if (items_have(items, item))
		return HW_LIST_THERE;
	if (segment->count == items_capacity(items)) {
		if (!segment_resize(list, index, segment->count + 1))
			return HW_LIST_FULL;
		items = list_items(list, index);
	}
	size_t hole = items_find(items, segment->first_hole, 0);
	if (hole == items_used(items))
		atomic_store_explicit(&items->used, hole + 1, memory_order_release);
	race_point();
	atomic_store_explicit(&items->slots[hole], item, memory_order_release);
	race_point();
	segment->first_hole = hole + 1;
	segment->count++;
	return HW_LIST_DONE;
}

enum hw_list_result hw_concurrent_list_add(struct hw_concurrent_list *list, uint64_t item)
{
	unsigned index = item_segment(item);

	pthread_mutex_lock(&list->segments[index].lock);
	enum hw_list_result result = segment_add(list, index, item);
	pthread_mutex_unlock(&list->segments[index].lock);
	if (result == HW_LIST_DONE)
		atomic_fetch_add_explicit(&list->count, 1, memory_order_relaxed);
	return result;
}

// Does not count the holes at the end. Items are added to the first hole, so that holes gather there.
static void items_trim(struct items *items)
{
	size_t used = items_used(items), end = used;

	while (end && !atomic_load_explicit(&items->slots[end - 1], memory_order_relaxed))
		end--;
	if (end < used)
		atomic_store_explicit(&items->used, end, memory_order_release);
}

static bool segment_remove(struct hw_concurrent_list *list, unsigned index, uint64_t item)
{
	struct segment *segment = &list->segments[index];
	struct items *items = list_items(list, index);
	size_t at = items_find(items, 0, item);

	if (at == items_used(items))
		return false;
	atomic_store_explicit(&items->slots[at], 0, memory_order_release);
	race_point();
	items_trim(items);
	segment->count--;
	if (at < segment->first_hole)
		segment->first_hole = at;
	if (segment->count * 3 < items_capacity(items) &&
		items_bytes(segment->count + 1) < items->garbage.bytes)
		segment_resize(list, index, segment->count + 1); // failing is no failure
	return true;
}

bool hw_concurrent_list_remove(struct hw_concurrent_list *list, uint64_t item)
{
	unsigned index = item_segment(item);

	pthread_mutex_lock(&list->segments[index].lock);
	bool removed = item && segment_remove(list, index, item);
	pthread_mutex_unlock(&list->segments[index].lock);
	if (removed)
		atomic_fetch_sub_explicit(&list->count, 1, memory_order_relaxed);
	return removed;
}

bool hw_concurrent_list_contains(
	const struct hw_concurrent_list *list, struct hw_epoch_reader *reader, uint64_t item)
{
	epoch_enter(reader);
	bool found = item && items_have(atomic_load_explicit(&list->items[item_segment(item)],
						memory_order_acquire),
				     item);
	epoch_exit(reader);
	return found;
}

bool hw_concurrent_list_more(
	const struct hw_concurrent_list *list, struct hw_concurrent_list_cursor *cursor)
{
	if (cursor->segment == SEGMENTS)
		return false;
	const struct items *items =
		atomic_load_explicit(&list->items[cursor->segment++], memory_order_acquire);
	race_point();
	cursor->slots = (const uint64_t *)items->slots;
	cursor->count = items_used(items);
	return true;
}

size_t hw_concurrent_list_count(const struct hw_concurrent_list *list)
{
	return atomic_load_explicit(&list->count, memory_order_relaxed);
}

size_t hw_concurrent_list_held_bytes(const struct hw_concurrent_list *list)
{
	return atomic_load_explicit(&list->held_bytes, memory_order_relaxed);
}
