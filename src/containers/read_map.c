// Buckets of one cache line: a word of state, three keys, three values. A key that finds its bucket full goes to the
// next one that has room, and each bucket counts the keys that went past it: a lookup ends at the first count of 0.
//
// The state word tells which places are used, and changes with every insertion and deletion. A writer touches only
// places that the state says are free, and then publishes them by one store to the state; a new value for a key that
// is there is one store to the value. So there is no moment at which a reader would have to wait: it reads the state,
// the key, the value, and the state again, and when that is the same, what it read belonged together. (When the state
// changed, a writer made progress.) A key never moves within a table. A reader of an outgrown table sees the map as it
// was when the table was replaced, which happened after the reader began.
#include "heapwhy/read_map.h"

#include <pthread.h>
#include <string.h>
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
#include <emmintrin.h>
#endif

#include "containers/epoch_section.h"
#include "containers/races.h"
#include "heapwhy/registry.h"

enum {
	PLACES = 3,
	PLACES_MASK = (1 << PLACES) - 1,
	PASSED_SHIFT = 3, // 21 bits: how many keys went past this bucket
	PASSED_BITS = 21,
	SMALLEST = 4, // buckets
};

#define PASSED_ONE (UINT64_C(1) << PASSED_SHIFT)
#define PASSED_MASK (((UINT64_C(1) << PASSED_BITS) - 1) << PASSED_SHIFT)
#define VERSION_ONE \
	(UINT64_C(1) << (PASSED_SHIFT + PASSED_BITS)) // 40 bits: cannot wrap while a reader looks

struct bucket {
	_Alignas(64) _Atomic uint64_t state;
	_Atomic uint64_t keys[PLACES];
	_Atomic uint64_t
		values[PLACES + 1]; // the last one is what a lookup reads that finds nothing
};

struct table {
	struct hw_epoch_garbage garbage;
	struct hw_allocator *allocator;
	size_t bucket_count;
	_Alignas(64) struct bucket buckets[];
};

struct hw_read_map {
	struct hw_registration registration;
	_Alignas(64) _Atomic(struct table *) table; // read by all, written by whoever replaces it
	struct hw_epoch *epoch;
	_Alignas(64) pthread_mutex_t lock; // the writers'
	_Atomic size_t count;
	_Atomic size_t held_bytes;
	size_t grow_at;   // the count from which the table wants to grow
	size_t full_at;   // the count at which it must
	size_t shrink_at; // the count below which it shrinks
};

static const struct hw_measure measures[] = {
	HW_MEASURE(HW_COUNT, struct hw_read_map, count),
	HW_MEASURE_TIMES(HW_USED_BYTES, struct hw_read_map, count, 2 * sizeof(uint64_t)),
	HW_MEASURE(HW_HELD_BYTES, struct hw_read_map, held_bytes),
};
static const struct hw_kind kind = HW_KIND("read map", measures);

// The full product of the key and an odd constant (the golden ratio's fraction), folded; then scaled to the table.
static inline size_t bucket_home(const struct table *table, uint64_t key)
{
	unsigned __int128 product = (unsigned __int128)key * UINT64_C(0x9e3779b97f4a7c15);
	uint64_t hash = (uint64_t)product ^ (uint64_t)(product >> 64);

	return (size_t)((unsigned __int128)hash * table->bucket_count >> 64);
}

static inline size_t bucket_next(const struct table *table, size_t at)
{
	return ++at == table->bucket_count ? 0 : at;
}

static void table_destroy(struct table *table)
{
	if (table)
		hw_free(table->allocator, table, table->garbage.bytes, _Alignof(struct table));
}

static void table_release(struct hw_epoch_garbage *garbage)
{
	table_destroy((struct table *)((char *)garbage - offsetof(struct table, garbage)));
}

static struct table *table_create(size_t bucket_count, struct hw_allocator *allocator)
{
	size_t bytes;

	if (__builtin_mul_overflow(bucket_count, sizeof(struct bucket), &bytes) ||
		__builtin_add_overflow(bytes, sizeof(struct table), &bytes))
		return NULL;
	struct table *table = hw_alloc(allocator, bytes, _Alignof(struct table));
	if (!table)
		return NULL;
	memset(table, 0, bytes);
	table->garbage = (struct hw_epoch_garbage){.release = table_release, .bytes = bytes};
	table->allocator = allocator;
	table->bucket_count = bucket_count;
	return table;
}

// The table is the writer's while it holds the lock, but for the readers.
static struct table *map_table(const struct hw_read_map *map)
{
	return atomic_load_explicit(&map->table, memory_order_relaxed);
}

static uint64_t bucket_state(const struct bucket *bucket)
{
	return atomic_load_explicit(&bucket->state, memory_order_relaxed);
}

static void bucket_publish(struct bucket *bucket, uint64_t state)
{
	atomic_store_explicit(&bucket->state, state + VERSION_ONE, memory_order_release);
}

// The release of key and value carries the state in which their place was free: a reader that sees them instead of
// what it looked for sees that state, too, and tries again.
static void table_insert(struct table *table, uint64_t key, uint64_t value)
{
	for (size_t at = bucket_home(table, key);; at = bucket_next(table, at)) {
		struct bucket *bucket = &table->buckets[at];
		uint64_t state = bucket_state(bucket);
		uint64_t free_places = ~state & PLACES_MASK;
		if (free_places) {
			unsigned place = (unsigned)__builtin_ctzll(free_places);
			atomic_store_explicit(&bucket->keys[place], key, memory_order_release);
			race_point();
			atomic_store_explicit(&bucket->values[place], value, memory_order_release);
			race_point();
			bucket_publish(bucket, state | UINT64_C(1) << place);
			return;
		}
		// A count that has reached its end stays there until the next table; that only costs time.
		if ((state & PASSED_MASK) != PASSED_MASK)
			bucket_publish(bucket, state + PASSED_ONE);
		race_point();
	}
}

// The places of the bucket that hold `key`, a bit each: one or none. Without a branch on what each place holds, so
// that the processor can go on to the next lookup while it waits for memory, and with few instructions, so that more
// lookups wait at the same time. Two words at a time: the processor reads each aligned eight bytes in one piece, and in
// the order of the program. (The thread sanitizer would not know.)
static inline unsigned bucket_match(const struct bucket *bucket, uint64_t state, uint64_t key)
{
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
	const __m128i *words = (const __m128i *)bucket;
	__m128i sought = _mm_set1_epi64x((long long)key);
	__m128i first = _mm_cmpeq_epi32(_mm_load_si128(words), sought); // the state and a key
	__m128i second = _mm_cmpeq_epi32(_mm_load_si128(words + 1), sought);
	__m128i halves = _mm_packs_epi32(first, second);
	__m128i whole = _mm_cmpeq_epi32(halves, _mm_set1_epi32(-1));
	unsigned match = (unsigned)_mm_movemask_ps(_mm_castsi128_ps(whole)) >> 1;

	atomic_signal_fence(memory_order_acquire);
#else
	unsigned match = 0;

#pragma GCC unroll 3
	for (unsigned i = 0; i < PLACES; i++)
		match |= (unsigned)(atomic_load_explicit(&bucket->keys[i], memory_order_acquire) ==
				    key)
			 << i;
#endif
	return match & (unsigned)state & PLACES_MASK;
}

// Where `key` is, for the writer. NULL when it is absent.
static struct bucket *table_find(struct table *table, uint64_t key, unsigned *place)
{
	for (size_t at = bucket_home(table, key), left = table->bucket_count; left; left--) {
		struct bucket *bucket = &table->buckets[at];
		unsigned match = bucket_match(bucket, bucket_state(bucket), key);
		if (match) {
			*place = (unsigned)__builtin_ctz(match);
			return bucket;
		}
		if (!(bucket_state(bucket) & PASSED_MASK))
			return NULL;
		at = bucket_next(table, at);
	}
	return NULL;
}

static void map_publish(struct hw_read_map *map, struct table *table)
{
	size_t places = table->bucket_count * PLACES;

	map->grow_at = places * 3 / 4;
	map->full_at = places - places / 16 - 1;
	map->shrink_at = table->bucket_count > SMALLEST ? places / 4 : 0;
	atomic_store_explicit(
		&map->held_bytes, sizeof(*map) + table->garbage.bytes, memory_order_relaxed);
	atomic_store_explicit(&map->table, table, memory_order_release);
}

// Replaces the table by one that is half full. False when out of memory or refused; the map is then as it was.
static bool map_rebuild(struct hw_read_map *map)
{
	struct table *old = map_table(map);
	size_t wanted = atomic_load_explicit(&map->count, memory_order_relaxed) * 2 / PLACES;

	if (!hw_epoch_admit(map->epoch, old->garbage.bytes))
		return false;
	struct table *table =
		table_create(wanted > SMALLEST ? wanted : SMALLEST, map->registration.allocator);
	if (!table)
		return false;
	for (size_t at = 0; at < old->bucket_count; at++) {
		struct bucket *bucket = &old->buckets[at];
		uint64_t state = bucket_state(bucket);
		for (unsigned i = 0; i < PLACES; i++)
			if (state & (UINT64_C(1) << i))
				table_insert(table,
					atomic_load_explicit(
						&bucket->keys[i], memory_order_relaxed),
					atomic_load_explicit(
						&bucket->values[i], memory_order_relaxed));
	}
	race_point();
	map_publish(map, table);
	race_point();
	hw_epoch_retire(map->epoch, &old->garbage);
	return true;
}

struct hw_read_map *hw_read_map_create(struct hw_epoch *epoch, struct hw_allocator *allocator)
{
	struct hw_read_map *map = hw_alloc(allocator, sizeof(*map), _Alignof(struct hw_read_map));
	struct table *table = table_create(SMALLEST, allocator);

	if (!map || !table) {
		hw_free(allocator, map, sizeof(*map), _Alignof(struct hw_read_map));
		table_destroy(table);
		return NULL;
	}
	memset(map, 0, sizeof(*map));
	map->epoch = epoch;
	pthread_mutex_init(&map->lock, NULL);
	map_publish(map, table);
	hw_register(&map->registration, &kind, allocator);
	return map;
}

void hw_read_map_destroy(struct hw_read_map *map)
{
	if (!map)
		return;
	hw_unregister(&map->registration);
	pthread_mutex_destroy(&map->lock);
	table_destroy(map_table(map));
	hw_free(map->registration.allocator, map, sizeof(*map), _Alignof(struct hw_read_map));
}

// What one bucket says of a key. Whether it is there is no branch either, and nothing that decides one, as a rule.
struct look {
	uint64_t value;
	bool found;
	bool passed; // it is not here, but may have gone past
	bool changed;
};

static inline struct look bucket_look(const struct bucket *bucket, uint64_t key)
{
	uint64_t state = atomic_load_explicit(&bucket->state, memory_order_acquire);
	struct look look;

	race_point();
	unsigned match = bucket_match(bucket, state, key);
	race_point();
	unsigned place = (unsigned)__builtin_ctz(match | 1u << PLACES);
	look.value = atomic_load_explicit(&bucket->values[place], memory_order_acquire);
	race_point();
	look.found = match != 0;
	look.passed = !match & !!(state & PASSED_MASK);
	look.changed = bucket_state(bucket) != state;
	return look;
}

static inline bool get_end(struct hw_epoch_reader *reader, struct look look, uint64_t *value)
{
	epoch_exit(reader);
	if (value) {
		uint64_t read = *value;
		read = look.found ? look.value : read;
		*value = read;
	}
	return look.found;
}

// From the home bucket on, in a read section, which it ends. Out of line and called last, so that hw_read_map_get()
// needs no register saved: what the caller keeps in it would go through memory from one lookup to the next.
static __attribute__((noinline)) bool table_get_slowly(
	const struct table *table, struct hw_epoch_reader *reader, uint64_t key, uint64_t *value)
{
	size_t at = bucket_home(table, key), left = table->bucket_count;
	struct look look;

	do {
		look = bucket_look(&table->buckets[at], key);
		if (!look.changed && look.passed) {
			at = bucket_next(table, at);
			left--;
		}
	} while (look.changed || (look.passed && left));
	return get_end(reader, look, value);
}

bool hw_read_map_get(const struct hw_read_map *map, struct hw_epoch_reader *reader, uint64_t key,
	uint64_t *value)
{
	epoch_enter(reader);
	const struct table *table = atomic_load_explicit(&map->table, memory_order_acquire);
	race_point();
	struct look look = bucket_look(&table->buckets[bucket_home(table, key)], key);
	if (__builtin_expect(look.changed | look.passed, 0))
		return table_get_slowly(table, reader, key, value);
	return get_end(reader, look, value);
}

static bool map_put_locked(struct hw_read_map *map, uint64_t key, uint64_t value)
{
	size_t count = atomic_load_explicit(&map->count, memory_order_relaxed);
	unsigned place;
	struct bucket *bucket = table_find(map_table(map), key, &place);

	if (bucket) {
		atomic_store_explicit(&bucket->values[place], value, memory_order_release);
		return true;
	}
	if (count >= map->grow_at && !map_rebuild(map) && count >= map->full_at)
		return false;
	table_insert(map_table(map), key, value);
	atomic_store_explicit(&map->count, count + 1, memory_order_relaxed);
	return true;
}

bool hw_read_map_put(struct hw_read_map *map, uint64_t key, uint64_t value)
{
	pthread_mutex_lock(&map->lock);
	bool put = map_put_locked(map, key, value);
	pthread_mutex_unlock(&map->lock);
	return put;
}

static bool map_delete_locked(struct hw_read_map *map, uint64_t key, uint64_t *old)
{
	struct table *table = map_table(map);
	unsigned place;
	struct bucket *bucket = table_find(table, key, &place);

	if (!bucket)
		return false;
	if (old)
		*old = atomic_load_explicit(&bucket->values[place], memory_order_relaxed);
	bucket_publish(bucket, bucket_state(bucket) & ~(UINT64_C(1) << place));
	for (size_t at = bucket_home(table, key); &table->buckets[at] != bucket;
		at = bucket_next(table, at)) {
		uint64_t state = bucket_state(&table->buckets[at]);
		if ((state & PASSED_MASK) != PASSED_MASK)
			bucket_publish(&table->buckets[at], state - PASSED_ONE);
	}
	size_t count = atomic_load_explicit(&map->count, memory_order_relaxed) - 1;
	atomic_store_explicit(&map->count, count, memory_order_relaxed);
	if (count < map->shrink_at)
		map_rebuild(map); // failing is no failure
	return true;
}

bool hw_read_map_delete(struct hw_read_map *map, uint64_t key, uint64_t *old)
{
	pthread_mutex_lock(&map->lock);
	bool deleted = map_delete_locked(map, key, old);
	pthread_mutex_unlock(&map->lock);
	return deleted;
}

void hw_read_map_each(const struct hw_read_map *map, struct hw_epoch_reader *reader,
	bool (*visit)(void *context, uint64_t key, uint64_t value), void *context)
{
	bool more = true;

	epoch_enter(reader);
	const struct table *table = atomic_load_explicit(&map->table, memory_order_acquire);
	for (size_t at = 0; more && at < table->bucket_count; at++) {
		const struct bucket *bucket = &table->buckets[at];
		uint64_t keys[PLACES], values[PLACES], state;
		do {
			state = atomic_load_explicit(&bucket->state, memory_order_acquire);
			for (unsigned i = 0; i < PLACES; i++) {
				keys[i] = atomic_load_explicit(
					&bucket->keys[i], memory_order_acquire);
				values[i] = atomic_load_explicit(
					&bucket->values[i], memory_order_acquire);
			}
		} while (bucket_state(bucket) != state);
		for (unsigned i = 0; more && i < PLACES; i++)
			if (state & (UINT64_C(1) << i))
				more = visit(context, keys[i], values[i]);
	}
	epoch_exit(reader);
}

size_t hw_read_map_count(const struct hw_read_map *map)
{
	return atomic_load_explicit(&map->count, memory_order_relaxed);
}

size_t hw_read_map_held_bytes(const struct hw_read_map *map)
{
	return atomic_load_explicit(&map->held_bytes, memory_order_relaxed);
}
