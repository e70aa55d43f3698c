// Work in a thread of its own, where there may be one; without, it is done when it is waited for.
//
//	struct beside counting = {.run = count, .context = heap};
//	beside_start(&counting, threads > 1);
//	err = beside_finish(&counting, do_something_else());
#ifndef BASE_BESIDE_H
#define BASE_BESIDE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct error;

// Stays where it is until it has been finished.
struct beside {
	struct error *(*run)(void *context);
	void *context;
	struct error *err;
	uint64_t took; // ns
	pthread_t thread;
	bool started;
};

void beside_start(struct beside *beside, bool threaded);

// Waits for it. `err`: of the work that was done meanwhile. It comes first, and then what has no thread is not done at all.
struct error *beside_finish(struct beside *beside, struct error *err);

#endif
