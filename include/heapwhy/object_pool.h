// A pool of objects that are expensive to make: buffers, parsers, connections. Each thread keeps some at hand and gets
// and puts them without a lock; what it has too many of goes to a depot, where the others, and thieves, find it.
//
//	struct hw_object_pool *pool = hw_object_pool_create(&(struct hw_object_pool_options){
//		.object_bytes = 64 << 10, .reset = buffer_reset});
//	struct hw_object_pool_local *local = hw_object_pool_join(pool);         // each thread
//	struct buffer *buffer = hw_object_pool_get(local);
//	...
//	hw_object_pool_put(local, buffer);                                      // by any thread, to its own local
//
// Memory: an object and at most two magazines a thread (together at most 512 KiB, or 8 objects), and `idle_bytes` in the
// depot. What lies in the depot during a whole generation is freed at the end of the next: call hw_object_pool_age() now
// and then.
// An object that has grown beyond `largest_bytes` is destroyed by put, instead of being kept for good.
// Costs: get and put O(1), inline, no lock but once a magazine. 16 bytes an object, or its alignment.
// Thread safety: a local belongs to one thread at a time; everything else may be called by any thread, except create
// and destroy. Hooks run without a lock, in the thread that calls.
// Mistakes: an object that is put twice is refused, and counted; debug mode (heapwhy/debug.h) names both places. Two
// threads that put the same object at the very same instant may go unnoticed.
#ifndef HEAPWHY_OBJECT_POOL_H
#define HEAPWHY_OBJECT_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapwhy/allocator.h"
#include "heapwhy/debug.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hw_object_pool;

// What get and put touch of a thread's part; the rest of it is private.
struct hw_object_pool_local {
	void *latest;                // an idle object that is got next; NULL: none
	void **bottom, **top, **end; // of the magazine at hand: idle objects, free places
	uint64_t hits;
	bool hooks; // put must call some
};

// Zero, or NULL, is a good choice for all but `object_bytes`.
struct hw_object_pool_options {
	size_t object_bytes;
	size_t alignment;  // of objects, a power of two; 0: 16
	size_t idle_bytes; // that the depot keeps at most; 0: no limit
	unsigned threads;  // that can join; 0: 64
	void *context;     // for the hooks

	// Makes an object of fresh memory; false: it cannot.
	bool (*create)(void *context, void *object);
	void (*reset)(void *context, void *object);   // called by put, before the object is kept
	void (*destroy)(void *context, void *object); // before its memory is freed

	// What the object holds by now, with what it points to; put does not keep it beyond `largest_bytes`.
	size_t (*size)(void *context, const void *object);
	size_t largest_bytes;

	struct hw_allocator *allocator;
};

struct hw_object_pool_stats {
	uint64_t hits, misses;   // gets that found an object; that had to make one
	uint64_t steals;         // magazines taken from other threads
	uint64_t refused_large;  // puts of objects that had grown too large
	uint64_t refused_double; // puts of objects that were in the pool already
	size_t object_count;     // in the pool or out
	size_t held_bytes;       // of all objects
};

enum hw_put_result {
	HW_PUT_KEPT,
	HW_PUT_LARGE,  // it had grown too large, and was destroyed
	HW_PUT_EXCESS, // the depot is full, or there is no memory to keep it: destroyed
	HW_PUT_DOUBLE, // it was put before: nothing was done
};

// The options are copied. NULL when out of memory. The pool is registered:
// hw_registration_name((struct hw_registration *)pool, "buffers").
struct hw_object_pool *hw_object_pool_create(const struct hw_object_pool_options *options);

// All threads must have left. Returns how many objects are still out; they are not freed. Accepts NULL.
size_t hw_object_pool_destroy(struct hw_object_pool *pool);

// NULL when too many threads have joined. leave gives what the thread kept to the others.
struct hw_object_pool_local *hw_object_pool_join(struct hw_object_pool *pool);
void hw_object_pool_leave(struct hw_object_pool_local *local);

// Before each object: where it was put last; NULL while it is out.
static inline const char **hw_object_pool_mark(void *object)
{
	return (const char **)object - 1;
}

void *hw_object_pool_get_slowly(struct hw_object_pool_local *local);
enum hw_put_result hw_object_pool_put_slowly(
	struct hw_object_pool_local *local, void *object, const char *here);

// NULL when out of memory or when `create` fails. A new object's memory is not cleared.
static inline void *hw_object_pool_get(struct hw_object_pool_local *local)
{
	void *object = local->latest;

	if (__builtin_expect(object != NULL, 1))
		local->latest = NULL;
	else if (__builtin_expect(local->top == local->bottom, 0))
		return hw_object_pool_get_slowly(local);
	else
		object = *--local->top;
	__atomic_store_n(hw_object_pool_mark(object), NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&local->hits, local->hits + 1, __ATOMIC_RELAXED);
	return object;
}

// `here` is a constant, and not NULL.
static inline enum hw_put_result hw_object_pool_put_at(
	struct hw_object_pool_local *local, void *object, const char *here)
{
	const char **mark = hw_object_pool_mark(object);

	if (__builtin_expect(local->hooks || __atomic_load_n(mark, __ATOMIC_RELAXED), 0))
		return hw_object_pool_put_slowly(local, object, here);
	if (__builtin_expect(!local->latest, 1))
		local->latest = object;
	else if (__builtin_expect(local->top == local->end, 0))
		return hw_object_pool_put_slowly(local, object, here);
	else
		*local->top++ = object;
	__atomic_store_n(mark, here, __ATOMIC_RELAXED);
	return HW_PUT_KEPT;
}
#define hw_object_pool_put(local, object) hw_object_pool_put_at((local), (object), HW_HERE)

// Makes `count` objects in advance; returns how many it could make.
size_t hw_object_pool_warm(struct hw_object_pool *pool, size_t count);

// Ends a generation: frees what lay in the depot during the whole of it. Spares of threads that did nothing meanwhile
// go to the depot. Returns how many objects were freed.
size_t hw_object_pool_age(struct hw_object_pool *pool);

struct hw_object_pool_stats hw_object_pool_stats(struct hw_object_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
