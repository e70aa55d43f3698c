// How a taken lock is waited for. See light_lock.h.
#include "containers/light_lock.h"

#include <time.h>

// So many tries take as long as going to sleep would: what is held for longer is worth it.
enum { TRIES = 4000, SLEEP_NS = 20000 };

// Looks before it tries: trying alone would take the line away from the holder.
void light_lock_wait(struct light_lock *lock)
{
	for (unsigned tries = 1;; tries++) {
		if (!atomic_load_explicit(&lock->held, memory_order_relaxed) &&
			!atomic_exchange_explicit(&lock->held, true, memory_order_acquire))
			return;
		if (tries % TRIES == 0)
			nanosleep(&(struct timespec){.tv_nsec = SLEEP_NS}, NULL);
	}
}
