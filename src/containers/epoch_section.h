// Read sections, inline for the containers: see heapwhy/epoch.h for what they promise.
//
// A reader's state is 0 outside, and 2 * epoch + 1 inside, with the epoch that was current when it entered. The epoch
// advances from e to e+1 only when every reader inside has announced e; so whatever was retired in epoch e can be
// reached by nobody once the epoch is e+2.
#ifndef CONTAINERS_EPOCH_SECTION_H
#define CONTAINERS_EPOCH_SECTION_H

#include <stdatomic.h>

#include "containers/races.h"
#include "heapwhy/epoch.h"

struct hw_epoch_reader {
	_Alignas(64) _Atomic uint64_t state;
	unsigned nested; // sections within the outermost one; the owner's
	bool fences;     // it must order its announcements itself: there is no membarrier()
	const _Atomic uint64_t *current; // the domain's epoch
	_Alignas(64) uint64_t
		blocked_ns; // when the state was first seen to hold up the next epoch; 0: it was not
	uint64_t blocked_state;
	struct hw_epoch *epoch;
	struct hw_epoch_reader *next;
	pid_t thread;
	char name[24];
};

// Nothing that one section writes is needed to begin the next one: a thread that looks up one key after the other does
// not wait for its own counting.
static inline void epoch_enter(struct hw_epoch_reader *reader)
{
	if (atomic_load_explicit(&reader->state, memory_order_relaxed)) {
		reader->nested++;
		return;
	}
	uint64_t now = atomic_load_explicit(reader->current, memory_order_relaxed);
	race_point();
	// Release, so that who sees this section also sees the end of the one before.
	atomic_store_explicit(&reader->state, 2 * now + 1, memory_order_release);
	// The announcement goes before every look at shared memory. As a rule, who advances the epoch sees to that for
	// all readers at once, and only the compiler must be told here.
	if (reader->fences)
		atomic_thread_fence(memory_order_seq_cst);
	else
		atomic_signal_fence(memory_order_seq_cst);
}

static inline void epoch_exit(struct hw_epoch_reader *reader)
{
	if (reader->nested)
		reader->nested--;
	else
		atomic_store_explicit(&reader->state, 0, memory_order_release);
}

#endif
