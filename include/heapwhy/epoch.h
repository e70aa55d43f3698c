// Epoch-based reclamation: frees what lock-free readers may still be looking at, once none can.
//
// A thread that reads joins once and then brackets each look at shared memory with enter and exit. Whoever unlinks
// something retires it instead of freeing it; it is released when every reader that might have seen it has left. What
// waits for that is garbage, and it is bounded: an update that would make more of it first asks hw_epoch_admit(),
// which refuses while a stalled reader keeps the garbage at its limit. Garbage therefore never exceeds the limit by
// more than what the updates under way make at that moment; hw_epoch_stalled() names the readers to blame.
//
//	struct hw_epoch *epoch = hw_epoch_create(0, NULL);
//	struct hw_epoch_reader *reader = hw_epoch_join(epoch, "worker 1");      // each reading thread
//	hw_epoch_enter(reader);
//	use(atomic_load(&shared));
//	hw_epoch_exit(reader);
//
//	if (hw_epoch_admit(epoch, sizeof(*old))) {                              // any thread
//		old = atomic_exchange(&shared, new);
//		hw_epoch_retire(epoch, &old->garbage);
//	}
//
// Thread safety: a reader belongs to one thread at a time; everything else may be called by any thread, except
// create and destroy. Ownership: the domain owns its readers; retired memory belongs to the domain until `release`
// gets it. Release functions run without any lock held, in the thread that happened to collect; they may retire.
#ifndef HEAPWHY_EPOCH_H
#define HEAPWHY_EPOCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "heapwhy/allocator.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hw_epoch;
struct hw_epoch_reader;

// Embedded in whatever will be retired, so that retiring needs no memory and cannot fail. Whoever makes the thing sets
// how it is released and how large it is; readers may read both.
struct hw_epoch_garbage {
	struct hw_epoch_garbage *next; // the domain's
	void (*release)(struct hw_epoch_garbage *garbage);
	size_t bytes;
};

struct hw_epoch_stats {
	size_t garbage_bytes; // retired and not yet released
	size_t garbage_count;
	size_t limit_bytes;
	uint64_t retired_count; // since the beginning
	uint64_t refused_count; // updates that hw_epoch_admit() refused
	size_t reader_count;
	size_t stalled_count; // readers that hold up the next epoch at this moment
};

// A reader that entered before the newest epoch and is still inside.
struct hw_epoch_stall {
	char name[24];
	pid_t thread;        // the thread that joined, as gettid() says
	uint64_t stalled_ns; // since somebody first had to wait for it; 0: this is the first time
};

// A domain whose garbage stays below `limit_bytes` (0: 16 MiB). The allocator is for the domain and its readers. NULL
// when out of memory. The domain is registered: hw_registration_name((struct hw_registration *)epoch, "routes").
struct hw_epoch *hw_epoch_create(size_t limit_bytes, struct hw_allocator *allocator);

// Releases all garbage. All readers must be outside; those that have not left are freed. Accepts NULL.
void hw_epoch_destroy(struct hw_epoch *epoch);

// `name` is copied, cut to 23 bytes, for hw_epoch_stalled(). NULL when out of memory. O(1).
struct hw_epoch_reader *hw_epoch_join(struct hw_epoch *epoch, const char *name);
void hw_epoch_leave(struct hw_epoch_reader *reader);

// What is reachable after enter stays allocated until exit. They nest. O(1), without a fence where the kernel has
// membarrier(), which then orders all readers when the epoch advances.
void hw_epoch_enter(struct hw_epoch_reader *reader);
void hw_epoch_exit(struct hw_epoch_reader *reader);

// May an update retire `bytes` more? Tries to release garbage first when it would not fit. A lone update larger than
// the limit is admitted when there is no other garbage. O(1), O(readers + garbage) when it collects.
bool hw_epoch_admit(struct hw_epoch *epoch, size_t bytes);

// Hands over what no new reader can find any more. Amortised O(1).
void hw_epoch_retire(struct hw_epoch *epoch, struct hw_epoch_garbage *garbage);

// Releases whatever can be released now; returns the bytes that cannot. O(readers + garbage).
size_t hw_epoch_flush(struct hw_epoch *epoch);

struct hw_epoch_stats hw_epoch_stats(struct hw_epoch *epoch);

// Writes up to `room` stalled readers to `stalls`, the longest stalled first; returns how many were written.
size_t hw_epoch_stalled(struct hw_epoch *epoch, struct hw_epoch_stall *stalls, size_t room);

#ifdef __cplusplus
}
#endif

#endif
