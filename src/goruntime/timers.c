// See timers.h.
#include "goruntime/timers.h"

#include "goruntime/runtime_private.h"

// Up to 1.22 a time.Timer or Ticker is a channel and a runtimeTimer; where only the runtime refers to one, typing
// does not know which of both it is. From 1.23 on both are runtime.timeTimer.
const char *const timer_types[TIMER_TYPES] = {
	"time.Timer", "time.Ticker", "time.Timer or Ticker", "runtime.timeTimer"};

enum {
	TIME_TIMER_INNER = 8, // time/sleep.go up to 1.22: Timer.r, Ticker.r
	STATE_HEAPED = 1,     // runtime/time.go from 1.23 on
	STATE_ZOMBIE = 4,     // stopped, and still in the heap
};

static bool timer_is_pending(const struct layout *layout, struct memory *memory, remote_addr timer)
{
	remote_addr address = timer + (uint32_t)layout->at.timer_state;

	if (layout->at.timeTimer_timer >= 0) {
		uint8_t state = memory_u8(memory, address);
		return (state & STATE_HEAPED) && !(state & STATE_ZOMBIE);
	}
	// runtime/time.go up to 1.22: none, waiting, running, deleted, removing, removed, modifying, modified to be
	// earlier or later, moving.
	static const bool pending[] = {
		false, true, true, false, false, false, true, true, true, true};
	uint32_t status = memory_u32(memory, address);
	return status < sizeof(pending) && pending[status];
}

bool timer_read(const struct heap *heap, object_id object, struct timer *out)
{
	const struct layout *layout = &heap->runtime->layout;
	struct memory *memory = &heap->runtime->memory;
	uint64_t faults = memory->faults;
	int32_t inner = layout->at.timeTimer_timer;
	remote_addr start = heap_address(heap, object);
	remote_addr timer = start + (inner < 0 ? TIME_TIMER_INNER : (uint32_t)inner);
	// The argument is an interface: a channel, or a func, which is a pointer to code.
	remote_addr argument = memory_u64(memory, timer + (uint32_t)layout->at.timer_arg + 8);
	struct timer read = {
		.object = object,
		.when = memory_u64(memory, timer + (uint32_t)layout->at.timer_when),
		.period = memory_u64(memory, timer + (uint32_t)layout->at.timer_period),
		.channel = memory_u64(memory, start),
		.pending = timer_is_pending(layout, memory, timer),
	};

	if (!read.channel && argument) {
		read.closure = argument;
		read.code = memory_u64(memory, argument);
	}
	if (memory->faults != faults)
		return false;
	*out = read;
	return true;
}
