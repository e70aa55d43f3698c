// Races of several threads: all of them do the same work on one container.
//
//	static void work(void *container, int number, uint64_t operations) { ... }
//	...
//	return bench_threads(2, 1000000, work, container);      // 2,000,000 operations
#ifndef BENCH_CONTAINERS_THREADS_H
#define BENCH_CONTAINERS_THREADS_H

#include <pthread.h>

#include "bench.h"

enum { BENCH_THREADS = 8 };

struct bench_worker {
	void (*work)(void *context, int number, uint64_t operations);
	void *context;
	int number;
	uint64_t operations;
};

static void *bench_worker_run(void *argument)
{
	struct bench_worker *worker = argument;

	worker->work(worker->context, worker->number, worker->operations);
	__atomic_fetch_add(&bench_workers_waited, bench_waited(), __ATOMIC_RELAXED);
	return NULL;
}

static inline uint64_t bench_threads(int threads, uint64_t operations,
	void (*work)(void *context, int number, uint64_t operations), void *context)
{
	struct bench_worker workers[BENCH_THREADS];
	pthread_t ids[BENCH_THREADS];

	for (int i = 0; i < threads; i++) {
		workers[i] = (struct bench_worker){work, context, i, operations};
		if (pthread_create(&ids[i], NULL, bench_worker_run, &workers[i]))
			abort();
	}
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	return (uint64_t)threads * operations;
}

#endif
