// Positions in the queue only grow; position p is kept at place p % capacity, and what was read for
// it in slot p % SLOTS. The reader may fill slot p while the follower is before p and not more than
// SLOTS - 1 positions back, so the slot is nobody else's. The slot's `position` is set when it is
// full; the follower, when it comes to p, looks for p there and for nothing else.
#include "goruntime/typing_queue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"

enum {
	SLOTS = 16,
	SLOT_BYTES = 1 << 16,
	WORTH_READING = 4, // objects: with fewer, the follower's own small reads are cheaper
	NAP_NS = 30000,
};

struct slot {
	_Atomic uint64_t position; // of the span that it holds
	uint8_t *bytes;
};

struct span_queue {
	const struct heap *heap;
	const uint64_t *pending;
	_Atomic uint32_t *spans; // by position % capacity
	uint8_t *waiting;        // by span's number
	uint64_t capacity;
	_Atomic uint64_t head, tail; // positions: being followed or next, and first free
	struct slot slots[SLOTS];
	uint8_t *buffer; // of all slots
	pthread_t reader;
	bool has_reader;
	atomic_bool over;
};

static bool is_worth_reading(const struct span_queue *queue, const struct span *span)
{
	unsigned count = 0;

	if ((uint64_t)span->pages << GO_PAGE_SHIFT > SLOT_BYTES)
		return false;
	for (object_id id = span->first & ~63u; id < span->first + span->count; id += 64)
		count += (unsigned)__builtin_popcountll(
			__atomic_load_n(&queue->pending[id >> 6], __ATOMIC_RELAXED));
	return count >= WORTH_READING;
}

static void read_ahead(struct span_queue *queue, uint64_t position)
{
	struct slot *slot = &queue->slots[position % SLOTS];
	uint32_t number = atomic_load_explicit(
		&queue->spans[position % queue->capacity], memory_order_relaxed);
	const struct span *span = &queue->heap->spans[number];

	if (!is_worth_reading(queue, span))
		return;
	target_read_sparse(queue->heap->runtime->target, span->base, slot->bytes,
		(size_t)span->pages << GO_PAGE_SHIFT);
	atomic_store_explicit(&slot->position, position, memory_order_release);
}

static void *reader_run(void *context)
{
	struct span_queue *queue = context;
	uint64_t next = 0;

	while (!atomic_load(&queue->over)) {
		uint64_t head = atomic_load(&queue->head), tail = atomic_load(&queue->tail);

		if (next <= head)
			next = head + 1;
		if (next < tail && next < head + SLOTS)
			read_ahead(queue, next++);
		else
			nanosleep(&(struct timespec){0, NAP_NS}, NULL);
	}
	return NULL;
}

struct error *span_queue_create(
	const struct heap *heap, const uint64_t *pending, struct span_queue **out)
{
	struct span_queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return error_no_memory();
	queue->heap = heap;
	queue->pending = pending;
	queue->capacity = (uint64_t)heap->span_count + 1;
	queue->spans = calloc(queue->capacity, sizeof(*queue->spans));
	queue->waiting = calloc(queue->capacity, sizeof(*queue->waiting));
	queue->buffer = malloc((size_t)SLOTS * SLOT_BYTES);
	if (!queue->spans || !queue->waiting || !queue->buffer) {
		span_queue_destroy(queue);
		return error_no_memory();
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		queue->slots[i].bytes = queue->buffer + (size_t)i * SLOT_BYTES;
		queue->slots[i].position = UINT64_MAX;
	}
	// Without it everything is read when it is needed.
	queue->has_reader = !pthread_create(&queue->reader, NULL, reader_run, queue);
	*out = queue;
	return NULL;
}

void span_queue_destroy(struct span_queue *queue)
{
	if (!queue)
		return;
	atomic_store(&queue->over, true);
	if (queue->has_reader)
		pthread_join(queue->reader, NULL);
	free(queue->spans);
	free(queue->waiting);
	free(queue->buffer);
	free(queue);
}

void span_queue_add(struct span_queue *queue, uint32_t number)
{
	uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);

	if (queue->waiting[number])
		return;
	queue->waiting[number] = 1;
	atomic_store_explicit(&queue->spans[tail % queue->capacity], number, memory_order_relaxed);
	atomic_store_explicit(&queue->tail, tail + 1, memory_order_release);
}

bool span_queue_take(struct span_queue *queue, uint32_t *number, const uint8_t **bytes)
{
	uint64_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
	struct slot *slot = &queue->slots[head % SLOTS];

	if (head == atomic_load_explicit(&queue->tail, memory_order_relaxed))
		return false;
	*number = atomic_load_explicit(&queue->spans[head % queue->capacity], memory_order_relaxed);
	bool read = atomic_load_explicit(&slot->position, memory_order_acquire) == head;
	*bytes = read ? slot->bytes : NULL;
	return true;
}

void span_queue_done(struct span_queue *queue)
{
	uint64_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
	uint32_t number =
		atomic_load_explicit(&queue->spans[head % queue->capacity], memory_order_relaxed);

	queue->waiting[number] = 0;
	atomic_store_explicit(&queue->head, head + 1, memory_order_release);
}
