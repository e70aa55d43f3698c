// What a thread does at a race point: see containers/races.h.
#include "containers/races.h"

#include <sched.h>
#include <stdint.h>

enum { YIELD_ONCE_IN = 8 };

void race_point(void)
{
	static _Thread_local uint64_t random;

	if (!random)
		random = (uintptr_t)&random | 1;
	random ^= random << 13;
	random ^= random >> 7;
	random ^= random << 17;
	if (random % YIELD_ONCE_IN == 0)
		sched_yield();
}
