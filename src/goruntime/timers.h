// A timer of package time: a time.Timer or time.Ticker, what AfterFunc or context.WithTimeout made.
#ifndef GORUNTIME_TIMERS_H
#define GORUNTIME_TIMERS_H

#include "goruntime/heap.h"

struct timer {
	object_id object;
	uint64_t when;       // nanotime() of the next time; ns
	uint64_t period;     // 0: once
	remote_addr channel; // the hchan that the time is sent to; 0 when a function is called
	remote_addr closure; // of that function; 0 for a channel
	remote_addr code;    // its code
	bool pending;        // in the runtime's heap of timers: it will fire
};

// The names of the types of timers. A program has those of its version.
extern const char *const timer_types[];
enum { TIMER_TYPES = 4 };

// Reads the timer in `object`, which is known to be of one of those types. False when it is damaged.
bool timer_read(const struct heap *heap, object_id object, struct timer *out);

#endif
