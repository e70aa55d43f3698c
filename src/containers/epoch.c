// Three lists of garbage, one for each of the last epochs; advancing the epoch hands the oldest one out for release.
// All of that is under one lock: retiring is what resizing does, not what every update does. See epoch_section.h for
// the readers' side, which takes no lock.
#include "heapwhy/epoch.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "containers/epoch_section.h"
#include "heapwhy/registry.h"

enum {
	EPOCHS = 3,
	COLLECT_COUNT = 64, // retired things between two attempts to release some
};

#define DEFAULT_LIMIT ((size_t)16 << 20)

struct hw_epoch {
	struct hw_registration registration;
	_Alignas(64) _Atomic uint64_t
		current; // starts at EPOCHS, so that current - 1 is always an epoch
	_Alignas(64) pthread_mutex_t lock; // guards all that follows
	struct hw_epoch_reader *readers;
	struct hw_epoch_garbage
		*garbage[EPOCHS]; // of epoch e in [e % EPOCHS]; only the last two are not empty
	struct hw_epoch_stats stats;
	size_t since_collect;
	bool fences; // there is no membarrier(): readers order their announcements themselves
};

static const struct hw_measure measures[] = {
	HW_MEASURE(HW_COUNT, struct hw_epoch, stats.reader_count),
	HW_MEASURE_TIMES(
		HW_HELD_BYTES, struct hw_epoch, stats.reader_count, sizeof(struct hw_epoch_reader)),
	HW_MEASURE(HW_LIMIT_BYTES, struct hw_epoch, stats.limit_bytes),
	HW_MEASURE(HW_GARBAGE_BYTES, struct hw_epoch, stats.garbage_bytes),
	HW_MEASURE(HW_STALLED_READERS, struct hw_epoch, stats.stalled_count),
	HW_MEASURE(HW_REFUSALS, struct hw_epoch, stats.refused_count),
};
static const struct hw_kind kind = HW_KIND("epoch", measures);

static uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// A barrier in every thread of the process that runs at this moment (the others had theirs when they were switched).
static bool barrier_everywhere(int command)
{
	return !syscall(SYS_membarrier, command, 0, 0);
}

struct hw_epoch *hw_epoch_create(size_t limit_bytes, struct hw_allocator *allocator)
{
	struct hw_epoch *epoch = hw_alloc(allocator, sizeof(*epoch), _Alignof(struct hw_epoch));

	if (!epoch)
		return NULL;
	memset(epoch, 0, sizeof(*epoch));
	atomic_init(&epoch->current, EPOCHS);
	pthread_mutex_init(&epoch->lock, NULL);
	epoch->stats.limit_bytes = limit_bytes ? limit_bytes : DEFAULT_LIMIT;
	epoch->fences = !barrier_everywhere(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
	hw_register(&epoch->registration, &kind, allocator);
	return epoch;
}

static void reader_free(struct hw_epoch_reader *reader)
{
	hw_free(reader->epoch->registration.allocator, reader, sizeof(*reader),
		_Alignof(struct hw_epoch_reader));
}

static void garbage_release(struct hw_epoch_garbage *garbage)
{
	for (struct hw_epoch_garbage *next; garbage; garbage = next) {
		next = garbage->next;
		garbage->release(garbage);
	}
}

void hw_epoch_destroy(struct hw_epoch *epoch)
{
	if (!epoch)
		return;
	for (struct hw_epoch_reader *reader = epoch->readers, *next; reader; reader = next) {
		next = reader->next;
		reader_free(reader);
	}
	epoch->readers = NULL;
	// What is released may retire more.
	do
		hw_epoch_flush(epoch);
	while (epoch->stats.garbage_count);
	hw_unregister(&epoch->registration);
	pthread_mutex_destroy(&epoch->lock);
	hw_free(epoch->registration.allocator, epoch, sizeof(*epoch), _Alignof(struct hw_epoch));
}

struct hw_epoch_reader *hw_epoch_join(struct hw_epoch *epoch, const char *name)
{
	struct hw_epoch_reader *reader = hw_alloc(
		epoch->registration.allocator, sizeof(*reader), _Alignof(struct hw_epoch_reader));

	if (!reader)
		return NULL;
	memset(reader, 0, sizeof(*reader));
	reader->current = &epoch->current;
	reader->epoch = epoch;
	reader->fences = epoch->fences;
	reader->thread = (pid_t)syscall(SYS_gettid);
	strncpy(reader->name, name, sizeof(reader->name) - 1);
	pthread_mutex_lock(&epoch->lock);
	reader->next = epoch->readers;
	epoch->readers = reader;
	epoch->stats.reader_count++;
	pthread_mutex_unlock(&epoch->lock);
	return reader;
}

void hw_epoch_leave(struct hw_epoch_reader *reader)
{
	struct hw_epoch *epoch = reader->epoch;

	pthread_mutex_lock(&epoch->lock);
	struct hw_epoch_reader **link = &epoch->readers;
	while (*link != reader)
		link = &(*link)->next;
	*link = reader->next;
	epoch->stats.reader_count--;
	pthread_mutex_unlock(&epoch->lock);
	reader_free(reader);
}

void hw_epoch_enter(struct hw_epoch_reader *reader)
{
	epoch_enter(reader);
}

void hw_epoch_exit(struct hw_epoch_reader *reader)
{
	epoch_exit(reader);
}

// Is the reader inside, and not yet in epoch `current`? Remembers since when. Under the lock.
static bool reader_lags(struct hw_epoch_reader *reader, uint64_t current)
{
	uint64_t state = atomic_load_explicit(&reader->state, memory_order_acquire);

	if (!state || state / 2 == current) {
		reader->blocked_ns = 0;
		return false;
	}
	if (!reader->blocked_ns || reader->blocked_state != state) {
		reader->blocked_ns = clock_now();
		reader->blocked_state = state;
	}
	return true;
}

// Advances the epoch unless a reader lags; adds what may be released by that to `ready`. Under the lock.
static bool epoch_try_advance(struct hw_epoch *epoch, struct hw_epoch_garbage **ready)
{
	uint64_t current = atomic_load_explicit(&epoch->current, memory_order_relaxed);
	size_t lagging = 0;

	// What was unlinked before is unlinked for every reader that is not seen inside: pairs with epoch_enter().
	atomic_thread_fence(memory_order_seq_cst);
	if (!epoch->fences && !barrier_everywhere(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		return false;
	for (struct hw_epoch_reader *reader = epoch->readers; reader; reader = reader->next)
		lagging += reader_lags(reader, current);
	epoch->stats.stalled_count = lagging;
	if (lagging)
		return false;
	atomic_store_explicit(&epoch->current, current + 1, memory_order_release);
	struct hw_epoch_garbage **oldest = &epoch->garbage[(current - 1) % EPOCHS];
	while (*oldest) {
		struct hw_epoch_garbage *garbage = *oldest;
		*oldest = garbage->next;
		garbage->next = *ready;
		*ready = garbage;
		epoch->stats.garbage_bytes -= garbage->bytes;
		epoch->stats.garbage_count--;
	}
	return true;
}

// Twice is enough for all that was retired before. Under the lock.
static struct hw_epoch_garbage *epoch_collect(struct hw_epoch *epoch)
{
	struct hw_epoch_garbage *ready = NULL;

	epoch->since_collect = 0;
	if (epoch_try_advance(epoch, &ready))
		epoch_try_advance(epoch, &ready);
	return ready;
}

static bool epoch_has_room(const struct hw_epoch *epoch, size_t bytes)
{
	const struct hw_epoch_stats *stats = &epoch->stats;

	return !stats->garbage_bytes ||
	       (bytes <= stats->limit_bytes && stats->garbage_bytes <= stats->limit_bytes - bytes);
}

bool hw_epoch_admit(struct hw_epoch *epoch, size_t bytes)
{
	struct hw_epoch_garbage *ready = NULL;

	pthread_mutex_lock(&epoch->lock);
	bool admitted = epoch_has_room(epoch, bytes);
	if (!admitted) {
		ready = epoch_collect(epoch);
		admitted = epoch_has_room(epoch, bytes);
		epoch->stats.refused_count += !admitted;
	}
	pthread_mutex_unlock(&epoch->lock);
	garbage_release(ready);
	return admitted;
}

void hw_epoch_retire(struct hw_epoch *epoch, struct hw_epoch_garbage *garbage)
{
	struct hw_epoch_garbage *ready = NULL;

	pthread_mutex_lock(&epoch->lock);
	// The epoch cannot advance while the lock is held, and the caller has unlinked: no need to fence this load.
	uint64_t current = atomic_load_explicit(&epoch->current, memory_order_relaxed);
	garbage->next = epoch->garbage[current % EPOCHS];
	epoch->garbage[current % EPOCHS] = garbage;
	epoch->stats.garbage_bytes += garbage->bytes;
	epoch->stats.garbage_count++;
	epoch->stats.retired_count++;
	if (++epoch->since_collect >= COLLECT_COUNT ||
		epoch->stats.garbage_bytes > epoch->stats.limit_bytes / 4)
		ready = epoch_collect(epoch);
	pthread_mutex_unlock(&epoch->lock);
	garbage_release(ready);
}

size_t hw_epoch_flush(struct hw_epoch *epoch)
{
	pthread_mutex_lock(&epoch->lock);
	struct hw_epoch_garbage *ready = epoch_collect(epoch);
	pthread_mutex_unlock(&epoch->lock);
	garbage_release(ready);

	pthread_mutex_lock(&epoch->lock);
	size_t bytes = epoch->stats.garbage_bytes;
	pthread_mutex_unlock(&epoch->lock);
	return bytes;
}

struct hw_epoch_stats hw_epoch_stats(struct hw_epoch *epoch)
{
	pthread_mutex_lock(&epoch->lock);
	uint64_t current = atomic_load_explicit(&epoch->current, memory_order_relaxed);
	epoch->stats.stalled_count = 0;
	for (struct hw_epoch_reader *reader = epoch->readers; reader; reader = reader->next)
		epoch->stats.stalled_count += reader_lags(reader, current);
	struct hw_epoch_stats stats = epoch->stats;
	pthread_mutex_unlock(&epoch->lock);
	return stats;
}

// Keeps `stalls` in descending order and at most `room` long.
static size_t stall_insert(struct hw_epoch_stall *stalls, size_t count, size_t room,
	const struct hw_epoch_stall *stall)
{
	size_t at = count;

	while (at && stalls[at - 1].stalled_ns < stall->stalled_ns)
		at--;
	if (at == room)
		return count;
	count += count < room;
	memmove(&stalls[at + 1], &stalls[at], (count - at - 1) * sizeof(*stalls));
	stalls[at] = *stall;
	return count;
}

size_t hw_epoch_stalled(struct hw_epoch *epoch, struct hw_epoch_stall *stalls, size_t room)
{
	size_t count = 0;

	pthread_mutex_lock(&epoch->lock);
	uint64_t current = atomic_load_explicit(&epoch->current, memory_order_relaxed);
	uint64_t now = clock_now();
	for (struct hw_epoch_reader *reader = epoch->readers; reader; reader = reader->next) {
		if (!reader_lags(reader, current))
			continue;
		struct hw_epoch_stall stall = {.thread = reader->thread};
		if (now > reader->blocked_ns)
			stall.stalled_ns = now - reader->blocked_ns;
		memcpy(stall.name, reader->name, sizeof(stall.name));
		count = stall_insert(stalls, count, room, &stall);
	}
	pthread_mutex_unlock(&epoch->lock);
	return count;
}
