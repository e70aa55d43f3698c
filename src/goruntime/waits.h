// What blocked goroutines wait for: the objects through which somebody could wake them.
//
//	struct waits waits;
//	err = waits_read(heap, goroutines, &roots, &waits);
//	const struct wait *wait = &waits.of[goroutine];
//	for (uint32_t i = 0; i < wait->count; i++)
//		use(waits.on.items[wait->first + i].object);
//	waits_deinit(&waits);
//
// A goroutine that waits for a channel, a lock, a wait group, a condition or a coroutine can only be
// woken by somebody who has a pointer to that. Whatever else a goroutine may be doing (running, sleeping,
// reading from a socket) something outside of memory will wake it. In doubt it is taken for that.
#ifndef GORUNTIME_WAITS_H
#define GORUNTIME_WAITS_H

#include "goruntime/goroutine.h"
#include "goruntime/roots.h"
#include "heapwhy/vector.h"

enum wait_kind {
	WAIT_OUTSIDE, // not blocked, or something outside of the heap's objects can end it
	WAIT_OBJECTS, // one of its objects can end it
	WAIT_FOREVER, // nil channels, a select without cases: nothing ends it
};

struct wait_on {
	object_id sudog; // the runtime's note that this goroutine waits for the object; OBJECT_NONE
			 // when there is none in the heap
	object_id
		object; // the channel, the coroutine, or what holds the lock, wait group or condition
	bool channel;   // it is a channel: `object` begins with the runtime.hchan
};

struct wait {
	enum wait_kind kind;
	uint32_t first, count; // in waits.on
	remote_addr
		global; // WAIT_OUTSIDE: of the lock that it waits for, in a global variable; or 0
};

struct waits {
	struct wait *of; // by goroutine
	HW_VECTOR(struct wait_on) on;
};

struct error *waits_read(struct heap *heap, const struct goroutine_list *goroutines,
	const struct roots *roots, struct waits *out);
void waits_deinit(struct waits *waits);

#endif
