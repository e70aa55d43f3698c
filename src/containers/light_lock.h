// A lock for what takes a hundred nanoseconds: letting go is a plain store, so that taking it and letting go is one
// locked instruction instead of two. Who finds it taken tries for a moment, and then sleeps for some microseconds at a
// time, since its holder was interrupted or has more to do than usual. Nobody is queued: not for locks that many
// threads want all the time.
#ifndef CONTAINERS_LIGHT_LOCK_H
#define CONTAINERS_LIGHT_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>

#include "containers/races.h"

struct light_lock {
	atomic_bool held; // false at the start
};

void light_lock_wait(struct light_lock *lock);

static inline void light_lock_take(struct light_lock *lock)
{
	race_point();
	if (__builtin_expect(atomic_exchange_explicit(&lock->held, true, memory_order_acquire), 0))
		light_lock_wait(lock);
}

static inline void light_lock_release(struct light_lock *lock)
{
	race_point();
	atomic_store_explicit(&lock->held, false, memory_order_release);
}

#endif
