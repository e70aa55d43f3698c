// Spans are numbered by their position in the queue, which only grows. What was read for position p is in slot
// p % SLOTS; the slot's `position` is set when it is full, and the follower, when it comes to p, looks for p there and
// for nothing else.
//
// The follower asks for p when it is before p and not more than SLOTS - 1 positions back, so the slot is nobody else's
// by then. An asked for span that it has come to meanwhile is not worth reading any more.
#include "goruntime/typing_queue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "heapwhy/ring.h"
#include "heapwhy/spsc_ring.h"

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
	struct hw_ring spans; // numbers, the first one being followed or next
	uint8_t *waiting;     // by span's number
	uint64_t asked;       // the first position not asked for yet
	_Atomic uint64_t head;
	struct hw_spsc_ring *requests;
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

static void read_ahead(struct span_queue *queue, uint64_t position, uint32_t number)
{
	struct slot *slot = &queue->slots[position % SLOTS];
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
	uint64_t request;

	while (!atomic_load(&queue->over)) {
		if (!hw_spsc_ring_pop(queue->requests, &request)) {
			nanosleep(&(struct timespec){0, NAP_NS}, NULL);
			continue;
		}
		uint64_t head = atomic_load(&queue->head);
		uint32_t ahead = (uint32_t)(request >> 32) - (uint32_t)head;
		if (ahead && ahead < SLOTS)
			read_ahead(queue, head + ahead, (uint32_t)request);
	}
	return NULL;
}

// Asks for all spans that have a slot and were not asked for yet. A request is the lower half of a position, and the
// span's number.
static void ask(struct span_queue *queue)
{
	uint64_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);

	if (queue->asked <= head)
		queue->asked = head + 1;
	for (; queue->asked < head + queue->spans.count && queue->asked < head + SLOTS;
		queue->asked++) {
		const uint32_t *number = hw_ring_at(&queue->spans, queue->asked - head);
		if (!hw_spsc_ring_push(queue->requests, queue->asked << 32 | *number))
			return;
	}
}

struct error *span_queue_create(
	const struct heap *heap, const uint64_t *pending, struct span_queue **out)
{
	struct span_queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return error_no_memory();
	queue->heap = heap;
	queue->pending = pending;
	hw_ring_init(&queue->spans, sizeof(uint32_t), 0, NULL);
	queue->waiting = calloc((size_t)heap->span_count + 1, sizeof(*queue->waiting));
	queue->requests = hw_spsc_ring_create(SLOTS, NULL);
	queue->buffer = malloc((size_t)SLOTS * SLOT_BYTES);
	if (!queue->waiting || !queue->requests || !queue->buffer) {
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
	hw_ring_deinit(&queue->spans);
	hw_spsc_ring_destroy(queue->requests);
	free(queue->waiting);
	free(queue->buffer);
	free(queue);
}

bool span_queue_add(struct span_queue *queue, uint32_t number)
{
	if (queue->waiting[number])
		return true;
	uint32_t *place = hw_ring_push(&queue->spans);
	if (!place)
		return false;
	*place = number;
	queue->waiting[number] = 1;
	ask(queue);
	return true;
}

bool span_queue_take(struct span_queue *queue, uint32_t *number, const uint8_t **bytes)
{
	uint64_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
	struct slot *slot = &queue->slots[head % SLOTS];
	const uint32_t *first = hw_ring_first(&queue->spans);

	if (!first)
		return false;
	*number = *first;
	bool read = atomic_load_explicit(&slot->position, memory_order_acquire) == head;
	*bytes = read ? slot->bytes : NULL;
	return true;
}

void span_queue_done(struct span_queue *queue)
{
	uint64_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
	uint32_t number;

	if (!hw_ring_pop(&queue->spans, &number))
		return;
	queue->waiting[number] = 0;
	atomic_store_explicit(&queue->head, head + 1, memory_order_release);
	ask(queue);
}
