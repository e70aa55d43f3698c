// Magazines (Bonwick 2001): a thread gets and puts objects at its loaded magazine. When that is full it becomes the
// thread's spare, and when it is empty the spare is loaded again; so a thread whose gets and puts balance takes no
// lock. In front of them lies the object that was put last, for a get that follows a put. Where in the loaded magazine
// the thread is, the thread's part says; the magazine's own count is right only when it is not loaded. A spare that is
// replaced goes to the depot. The spare is an atomic pointer that owner and thieves exchange for NULL: whoever gets the
// magazine owns it. Every magazine but the loaded one has at least one object in it.
#include "heapwhy/object_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "containers/races.h"
#include "heapwhy/registry.h"

enum {
	HEAD = 16, // of an object
	LINE = 64,
	MAGAZINE_BYTES = 256 << 10,
	MAGAZINE_MOST = 64, // objects
	MAGAZINE_LEAST = 4,
	THREADS = 64,
};

// The mark of an object that is idle, but was never put.
static const char never_put[] = "";

struct magazine {
	struct magazine *next; // in the depot
	size_t count;
	void *objects[];
};

// What one thread writes lies on lines of its own. Its counters are atomic for those who sum them up.
struct local {
	_Alignas(LINE) struct hw_object_pool_local at_hand;
	struct magazine *loaded; // NULL: none yet
	struct magazine *empty;  // kept for when the loaded one is full; or NULL
	struct hw_object_pool *pool;
	_Atomic uint64_t misses, steals, refused_large, refused_double;
	_Atomic(struct magazine *) spare;
	uint64_t aged_at; // hits + misses at the last hw_object_pool_age(); under the lock
	bool joined;      // under the lock
};

struct hw_object_pool {
	struct hw_registration registration;
	struct hw_object_pool_options options;
	size_t head_bytes;     // before each object: the head at its end
	size_t block_bytes;    // head and object
	size_t magazine_count; // objects in a full magazine
	uint64_t local_count;
	struct local *locals;
	bool debug;
	_Atomic uint64_t object_count;
	_Alignas(LINE) pthread_mutex_t lock;
	struct magazine *current, *victim; // the depot: of this generation, and of the last one
	size_t depot_count;                // objects in both
};

#define OVER_LOCALS(what, field)                                                                   \
	{                                                                                          \
		(what), offsetof(struct local, field), offsetof(struct hw_object_pool, locals), 0, \
			1, 0, sizeof(struct local), offsetof(struct hw_object_pool, local_count)   \
	}

static const struct hw_measure measures[] = {
	HW_MEASURE(HW_COUNT, struct hw_object_pool, object_count),
	HW_MEASURE_PRODUCT(HW_HELD_BYTES, struct hw_object_pool, object_count, block_bytes, 1),
	OVER_LOCALS(HW_HITS, at_hand.hits),
	OVER_LOCALS(HW_MISSES, misses),
	OVER_LOCALS(HW_REFUSALS, refused_large),
	OVER_LOCALS(HW_REFUSALS, refused_double),
};
static const struct hw_kind kind = HW_KIND("object pool", measures);

// A counter that only one thread writes.
static inline void counter_add(_Atomic uint64_t *counter, uint64_t more)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
		memory_order_relaxed);
}

static uint64_t local_hits(const struct local *local)
{
	return __atomic_load_n(&local->at_hand.hits, __ATOMIC_RELAXED);
}

static size_t clamp(size_t value, size_t least, size_t most)
{
	return value < least ? least : value > most ? most : value;
}

struct hw_object_pool *hw_object_pool_create(const struct hw_object_pool_options *options)
{
	struct hw_allocator *allocator = options->allocator;
	struct hw_object_pool *pool =
		hw_alloc(allocator, sizeof(*pool), _Alignof(struct hw_object_pool));

	if (!pool)
		return NULL;
	memset(pool, 0, sizeof(*pool));
	pool->options = *options;
	if (pool->options.alignment < HEAD)
		pool->options.alignment = HEAD;
	pool->local_count = options->threads ? options->threads : THREADS;
	pool->head_bytes = pool->options.alignment;
	size_t locals_bytes = pool->local_count * sizeof(*pool->locals);
	pool->locals = hw_alloc(allocator, locals_bytes, _Alignof(struct local));
	if (!pool->locals || __builtin_add_overflow(
				     options->object_bytes, pool->head_bytes, &pool->block_bytes)) {
		hw_free(allocator, pool->locals, locals_bytes, _Alignof(struct local));
		hw_free(allocator, pool, sizeof(*pool), _Alignof(struct hw_object_pool));
		return NULL;
	}
	memset(pool->locals, 0, locals_bytes);
	pool->magazine_count =
		clamp(MAGAZINE_BYTES / pool->block_bytes, MAGAZINE_LEAST, MAGAZINE_MOST);
	pool->debug = hw_debug_enabled();
	pthread_mutex_init(&pool->lock, NULL);
	hw_register(&pool->registration, &kind, allocator);
	return pool;
}

static void object_destroy(struct hw_object_pool *pool, void *object)
{
	if (pool->options.destroy)
		pool->options.destroy(pool->options.context, object);
	hw_free(pool->registration.allocator, (char *)object - pool->head_bytes, pool->block_bytes,
		pool->options.alignment);
	atomic_fetch_sub_explicit(&pool->object_count, 1, memory_order_relaxed);
}

// `mark`: NULL when it goes out at once.
static void *object_create(struct hw_object_pool *pool, const char *mark)
{
	char *block =
		hw_alloc(pool->registration.allocator, pool->block_bytes, pool->options.alignment);

	if (!block)
		return NULL;
	void *object = block + pool->head_bytes;
	if (pool->options.create && !pool->options.create(pool->options.context, object)) {
		hw_free(pool->registration.allocator, block, pool->block_bytes,
			pool->options.alignment);
		return NULL;
	}
	*hw_object_pool_mark(object) = mark;
	atomic_fetch_add_explicit(&pool->object_count, 1, memory_order_relaxed);
	return object;
}

static size_t magazine_bytes(const struct hw_object_pool *pool)
{
	return sizeof(struct magazine) + pool->magazine_count * sizeof(void *);
}

static struct magazine *magazine_create(struct hw_object_pool *pool)
{
	struct magazine *magazine = hw_alloc(
		pool->registration.allocator, magazine_bytes(pool), _Alignof(struct magazine));

	if (magazine)
		magazine->count = 0;
	return magazine;
}

// With the objects in it. Returns how many they were.
static size_t magazine_destroy(struct hw_object_pool *pool, struct magazine *magazine)
{
	size_t count = magazine ? magazine->count : 0;

	for (size_t i = 0; i < count; i++)
		object_destroy(pool, magazine->objects[i]);
	hw_free(pool->registration.allocator, magazine, magazine_bytes(pool),
		_Alignof(struct magazine));
	return count;
}

static size_t magazines_destroy(struct hw_object_pool *pool, struct magazine *magazine)
{
	size_t count = 0;

	for (struct magazine *next; magazine; magazine = next) {
		next = magazine->next;
		count += magazine_destroy(pool, magazine);
	}
	return count;
}

// False when the depot has no room for it.
static bool depot_put(struct hw_object_pool *pool, struct magazine *magazine)
{
	size_t limit =
		pool->options.idle_bytes ? pool->options.idle_bytes / pool->block_bytes : SIZE_MAX;

	pthread_mutex_lock(&pool->lock);
	bool room = magazine->count <= limit && pool->depot_count <= limit - magazine->count;
	if (room) {
		magazine->next = pool->current;
		pool->current = magazine;
		pool->depot_count += magazine->count;
	}
	pthread_mutex_unlock(&pool->lock);
	return room;
}

static struct magazine *depot_get(struct hw_object_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	struct magazine **list = pool->current ? &pool->current : &pool->victim;
	struct magazine *magazine = *list;
	if (magazine) {
		*list = magazine->next;
		pool->depot_count -= magazine->count;
	}
	pthread_mutex_unlock(&pool->lock);
	return magazine;
}

static struct magazine *spare_take(struct local *local)
{
	// A look first: an exchange would take the line away from its owner for nothing.
	if (!atomic_load_explicit(&local->spare, memory_order_relaxed))
		return NULL;
	race_point();
	return atomic_exchange_explicit(&local->spare, NULL, memory_order_acquire);
}

static struct magazine *spare_steal(struct local *local)
{
	struct hw_object_pool *pool = local->pool;
	struct magazine *magazine = NULL;

	// The victims are tried in turn from the thief on, so that thieves do not all meet at the same one.
	size_t own = (size_t)(local - pool->locals);
	for (size_t i = 1; !magazine && i < pool->local_count; i++)
		magazine = spare_take(&pool->locals[(own + i) % pool->local_count]);
	if (magazine)
		counter_add(&local->steals, 1);
	return magazine;
}

struct hw_object_pool_local *hw_object_pool_join(struct hw_object_pool *pool)
{
	struct local *local = NULL;

	pthread_mutex_lock(&pool->lock);
	for (size_t i = 0; i < pool->local_count && !local; i++)
		if (!pool->locals[i].joined)
			local = &pool->locals[i];
	if (local) {
		local->joined = true;
		local->pool = pool;
		local->at_hand.hooks = pool->options.size || pool->options.reset;
	}
	pthread_mutex_unlock(&pool->lock);
	return local ? &local->at_hand : NULL;
}

// To the depot, or away.
static enum hw_put_result magazine_retire(struct hw_object_pool *pool, struct magazine *magazine)
{
	if (magazine && magazine->count && depot_put(pool, magazine))
		return HW_PUT_KEPT;
	magazine_destroy(pool, magazine);
	return HW_PUT_EXCESS;
}

// Loads `magazine`, which may be NULL, and returns the one that was loaded, or NULL.
static struct magazine *local_load(struct local *local, struct magazine *magazine)
{
	struct hw_object_pool_local *at_hand = &local->at_hand;
	struct magazine *before = local->loaded;

	if (before)
		before->count = (size_t)(at_hand->top - at_hand->bottom);
	local->loaded = magazine;
	at_hand->bottom = magazine ? magazine->objects : NULL;
	at_hand->top = magazine ? magazine->objects + magazine->count : NULL;
	at_hand->end = magazine ? magazine->objects + local->pool->magazine_count : NULL;
	return before;
}

// Loads a magazine that is not full: the full one becomes the spare. False when there is no memory for it.
static bool local_empty(struct local *local)
{
	struct magazine *empty = local->empty ? local->empty : magazine_create(local->pool);

	if (!empty)
		return false;
	local->empty = NULL;
	struct magazine *full = local_load(local, empty);
	if (full) {
		struct magazine *spare =
			atomic_exchange_explicit(&local->spare, full, memory_order_acq_rel);
		if (spare)
			magazine_retire(local->pool, spare);
	}
	return true;
}

// Into the loaded magazine, or away.
static enum hw_put_result local_keep(struct local *local, void *object)
{
	if (local->at_hand.top == local->at_hand.end && !local_empty(local)) {
		object_destroy(local->pool, object);
		return HW_PUT_EXCESS;
	}
	*local->at_hand.top++ = object;
	return HW_PUT_KEPT;
}

void hw_object_pool_leave(struct hw_object_pool_local *at_hand)
{
	struct local *local = (struct local *)at_hand;
	struct hw_object_pool *pool = local->pool;

	if (at_hand->latest)
		local_keep(local, at_hand->latest);
	at_hand->latest = NULL;
	magazine_retire(pool, local_load(local, NULL));
	magazine_retire(pool, spare_take(local));
	magazine_destroy(pool, local->empty);
	local->empty = NULL;
	pthread_mutex_lock(&pool->lock);
	local->joined = false;
	pthread_mutex_unlock(&pool->lock);
}

size_t hw_object_pool_destroy(struct hw_object_pool *pool)
{
	if (!pool)
		return 0;
	struct hw_allocator *allocator = pool->registration.allocator;
	hw_unregister(&pool->registration);
	magazines_destroy(pool, pool->current);
	magazines_destroy(pool, pool->victim);
	size_t out = atomic_load_explicit(&pool->object_count, memory_order_relaxed);
	pthread_mutex_destroy(&pool->lock);
	hw_free(allocator, pool->locals, pool->local_count * sizeof(*pool->locals),
		_Alignof(struct local));
	hw_free(allocator, pool, sizeof(*pool), _Alignof(struct hw_object_pool));
	return out;
}

// Loads a magazine that is not empty. False when there is none anywhere.
static bool local_refill(struct local *local)
{
	struct magazine *magazine = spare_take(local);

	if (!magazine)
		magazine = depot_get(local->pool);
	if (!magazine)
		magazine = spare_steal(local);
	if (!magazine)
		return false;
	magazine_destroy(local->pool, local->empty);
	local->empty = local_load(local, magazine);
	return true;
}

void *hw_object_pool_get_slowly(struct hw_object_pool_local *at_hand)
{
	struct local *local = (struct local *)at_hand;

	if (local_refill(local))
		return hw_object_pool_get(at_hand);
	void *object = object_create(local->pool, NULL);
	if (object)
		counter_add(&local->misses, 1);
	return object;
}

static void report_double_put(
	struct local *local, void *object, const char *here, const char *before)
{
	struct hw_violation violation = {
		HW_FREED_TWICE, object, local->pool->options.object_bytes, here, before, NULL};

	counter_add(&local->refused_double, 1);
	if (local->pool->debug)
		hw_debug_report(&violation);
}

enum hw_put_result hw_object_pool_put_slowly(
	struct hw_object_pool_local *at_hand, void *object, const char *here)
{
	struct local *local = (struct local *)at_hand;
	const struct hw_object_pool_options *options = &local->pool->options;
	const char **mark = hw_object_pool_mark(object);
	const char *before = __atomic_load_n(mark, __ATOMIC_RELAXED);

	if (before) {
		report_double_put(local, object, here, before);
		return HW_PUT_DOUBLE;
	}
	if (options->size && options->size(options->context, object) > options->largest_bytes) {
		counter_add(&local->refused_large, 1);
		object_destroy(local->pool, object);
		return HW_PUT_LARGE;
	}
	__atomic_store_n(mark, here, __ATOMIC_RELAXED);
	if (options->reset)
		options->reset(options->context, object);
	if (at_hand->latest)
		return local_keep(local, object);
	at_hand->latest = object;
	return HW_PUT_KEPT;
}

size_t hw_object_pool_warm(struct hw_object_pool *pool, size_t count)
{
	size_t made = 0;

	while (made < count) {
		struct magazine *magazine = magazine_create(pool);
		void *object = NULL;
		while (magazine && magazine->count < pool->magazine_count &&
			made + magazine->count < count && (object = object_create(pool, never_put)))
			magazine->objects[magazine->count++] = object;
		size_t filled = magazine ? magazine->count : 0;
		if (magazine_retire(pool, magazine) != HW_PUT_KEPT)
			break;
		made += filled;
		if (!object)
			break;
	}
	return made;
}

// The spares of threads that have got nothing since the last time. Under the lock.
static struct magazine *idle_spares(struct hw_object_pool *pool)
{
	struct magazine *list = NULL;

	for (size_t i = 0; i < pool->local_count; i++) {
		struct local *local = &pool->locals[i];
		uint64_t gets = local_hits(local) +
				atomic_load_explicit(&local->misses, memory_order_relaxed);
		struct magazine *spare = gets == local->aged_at ? spare_take(local) : NULL;
		local->aged_at = gets;
		if (spare) {
			spare->next = list;
			list = spare;
		}
	}
	return list;
}

size_t hw_object_pool_age(struct hw_object_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	struct magazine *doomed = pool->victim;
	for (struct magazine *magazine = doomed; magazine; magazine = magazine->next)
		pool->depot_count -= magazine->count;
	pool->victim = pool->current;
	pool->current = idle_spares(pool);
	for (struct magazine *magazine = pool->current; magazine; magazine = magazine->next)
		pool->depot_count += magazine->count;
	pthread_mutex_unlock(&pool->lock);
	return magazines_destroy(pool, doomed);
}

struct hw_object_pool_stats hw_object_pool_stats(struct hw_object_pool *pool)
{
	struct hw_object_pool_stats stats = {
		.object_count = atomic_load_explicit(&pool->object_count, memory_order_relaxed),
	};

	stats.held_bytes = stats.object_count * pool->block_bytes;
	for (size_t i = 0; i < pool->local_count; i++) {
		struct local *local = &pool->locals[i];
		stats.hits += local_hits(local);
		stats.misses += atomic_load_explicit(&local->misses, memory_order_relaxed);
		stats.steals += atomic_load_explicit(&local->steals, memory_order_relaxed);
		stats.refused_large +=
			atomic_load_explicit(&local->refused_large, memory_order_relaxed);
		stats.refused_double +=
			atomic_load_explicit(&local->refused_double, memory_order_relaxed);
	}
	return stats;
}
