// Numbers from one thread to another.
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include <heapwhy/spsc_ring.h>

enum { NUMBERS = 100000 };

static void *produce(void *ring)
{
	for (uint64_t number = 1; number <= NUMBERS; number++)
		while (!hw_spsc_ring_push(ring, number))
			sched_yield(); // full
	return NULL;
}

int main(void)
{
	struct hw_spsc_ring *ring = hw_spsc_ring_create(1000, NULL);
	uint64_t sum = 0, number = 0;
	pthread_t thread;

	pthread_create(&thread, NULL, produce, ring);
	while (number < NUMBERS)
		if (hw_spsc_ring_pop(ring, &number))
			sum += number;
		else
			sched_yield(); // empty
	pthread_join(thread, NULL);
	printf("the sum is %llu\n", (unsigned long long)sum);
	hw_spsc_ring_destroy(ring);
	return sum != (uint64_t)NUMBERS * (NUMBERS + 1) / 2;
}
