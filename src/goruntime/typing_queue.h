// Inside typing: the spans in which typed objects wait to be followed, first come, first served, and
// a thread that reads them ahead: a ring of spans, and a second one through which that thread is told which to read.
//
// Following is the work of one thread, for what a claim does depends on those before it. A third of
// its time would go into reading spans, which somebody else can do: which ones, the queue tells.
// The follower never waits for the reader; what is not there in time it reads itself.
//
//	while (span_queue_take(queue, &number, &bytes)) {
//		...                         // bytes: what the span holds, or NULL
//		span_queue_done(queue);
//	}
#ifndef GORUNTIME_TYPING_QUEUE_H
#define GORUNTIME_TYPING_QUEUE_H

#include "goruntime/heap.h"

struct span_queue;

// `pending` has a bit for each object that waits; it is looked at to tell which spans are worth
// reading as a whole.
struct error *span_queue_create(
	const struct heap *heap, const uint64_t *pending, struct span_queue **out);
void span_queue_destroy(struct span_queue *queue); // accepts NULL

// Adds span `number` unless it is waiting already or being followed. False when out of memory.
bool span_queue_add(struct span_queue *queue, uint32_t number);

// The next span. `*bytes` are valid until span_queue_done(). False when the queue is empty.
bool span_queue_take(struct span_queue *queue, uint32_t *number, const uint8_t **bytes);
void span_queue_done(struct span_queue *queue);

#endif
