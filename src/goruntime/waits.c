// See waits.h.
//
// A goroutine that blocks leaves a runtime.sudog with what it waits for (runtime2.go, chan.go, select.go, sema.go of
// go 1.19 to 1.27):
//
// - Channels: g.waiting leads to the sudogs, one a case, linked by waitlink; sudog.c is the channel. Nil channels leave
//   none.
// - Semaphores (sync.Mutex, RWMutex, WaitGroup): sudog.elem is the address of the semaphore, a field of the lock. The
//   sudog hangs in runtime.semtable, and is a variable of semacquire1, the caller of gopark.
// - sync.Cond: the sudog is a variable of notifyListWait, the caller of gopark; what it waits for is told only by the
//   frame of Cond.Wait above that.
//
// A coroutine (coro.go, 1.23 on: iter.Pull) leaves none. It and who has called it wait for the same runtime.coro, which
// begins with the g that it will be switched to, and which the coroutine has on its stack: corostart will call coroexit.
#include "goruntime/waits.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "goruntime/runtime_private.h"

enum {
	CASES_MAX = 1 << 16, // select.go: of one select
	// Numbers of physical frames; goparkunlock is inlined everywhere.
	FRAME_WAITER = 1,    // semacquire1, notifyListWait
	FRAME_COND_WAIT = 2, // sync.(*Cond).Wait
	CORO_BYTES_MAX = 64,
};

enum wait_means { MEANS_CHANNEL, MEANS_SEMAPHORE, MEANS_CONDITION, MEANS_COROUTINE, MEANS_NOTHING };

static const char coroutine[] = "coroutine";

// The words of waitReasonStrings (runtime2.go). "semacquire" is what locks said up to 1.19 and wait groups up to 1.24;
// it is also said by the runtime itself, whose semaphores are globals.
static const struct {
	const char *reason;
	enum wait_means means;
} reasons[] = {
	{"chan receive", MEANS_CHANNEL},
	{"chan send", MEANS_CHANNEL},
	{"select", MEANS_CHANNEL},
	{"semacquire", MEANS_SEMAPHORE},
	{"sync.Mutex.Lock", MEANS_SEMAPHORE},
	{"sync.RWMutex.Lock", MEANS_SEMAPHORE},
	{"sync.RWMutex.RLock", MEANS_SEMAPHORE},
	{"sync.WaitGroup.Wait", MEANS_SEMAPHORE},
	{"sync.Cond.Wait", MEANS_CONDITION},
	{coroutine, MEANS_COROUTINE},
	{"chan receive (nil chan)", MEANS_NOTHING},
	{"chan send (nil chan)", MEANS_NOTHING},
	{"select (no cases)", MEANS_NOTHING},
};

struct reading {
	struct heap *heap;
	const struct goroutine_list *goroutines;
	struct waits waits;
	struct wait_on *found; // of the goroutine being read
	uint32_t found_count;
	bool outside;      // it waits for something that is not in the heap
	remote_addr place; // ... and lies here
};

struct sudog {
	remote_addr g, elem, channel, next_case;
};

// maybeTraceablePtr (1.26 on): a pointer that is nil while the collector looks for leaks, then the same as a number.
static uint64_t traceable_word(struct memory *memory, remote_addr address, int minor)
{
	uint64_t word = memory_u64(memory, address);

	return word || minor < 26 ? word : memory_u64(memory, address + 8);
}

static struct sudog sudog_read(const struct reading *reading, remote_addr address)
{
	const struct layout *layout = &reading->heap->runtime->layout;
	struct memory *memory = &reading->heap->runtime->memory;

	return (struct sudog){
		.g = memory_u64(memory, address + (uint32_t)layout->at.sudog_g),
		.elem = traceable_word(
			memory, address + (uint32_t)layout->at.sudog_elem, layout->minor),
		.channel = traceable_word(
			memory, address + (uint32_t)layout->at.sudog_c, layout->minor),
		.next_case = memory_u64(memory, address + (uint32_t)layout->at.sudog_waitlink),
	};
}

static void waits_for(struct reading *reading, remote_addr sudog, remote_addr object, bool channel)
{
	object_id id = heap_find(reading->heap, object);

	if (id == OBJECT_NONE || reading->found_count == CASES_MAX) {
		reading->outside = true;
		reading->place = object;
		return;
	}
	reading->found[reading->found_count++] =
		(struct wait_on){heap_find(reading->heap, sudog), id, channel};
}

// g.waiting: channels; from 1.26 on also semaphores and conditions, which have no sudog.c.
static void waiting_follow(struct reading *reading, const struct goroutine *goroutine)
{
	struct list_guard guard = {0};

	for (remote_addr at = goroutine->waiting; at;) {
		struct sudog sudog = sudog_read(reading, at);
		if (sudog.g != goroutine->address || !list_guard_step(&guard, at)) {
			reading->outside = true; // torn or damaged
			return;
		}
		waits_for(reading, at, sudog.channel ? sudog.channel : sudog.elem, sudog.channel);
		// For a semaphore waitlink leads to the next one who waits for it.
		at = sudog.channel ? sudog.next_case : 0;
	}
}

static bool root_is_sudog(
	const struct reading *reading, const struct goroutine *goroutine, remote_addr value)
{
	const struct layout_offsets *at = &reading->heap->runtime->layout.at;
	const struct span *span = heap_span(reading->heap, value);

	return span && span->elem_size >= (uint32_t)at->sudog_c + 8 &&
	       span->elem_size <= 2 * (uint32_t)at->sudog_c &&
	       (value - span->base) % span->elem_size == 0 &&
	       memory_u64(&reading->heap->runtime->memory, value + (uint32_t)at->sudog_g) ==
		       goroutine->address;
}

// The runtime.coro, or 0.
static remote_addr coroutine_find(const struct reading *reading, const struct goroutine *goroutine,
	const struct root *roots, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct span *span = heap_span(reading->heap, roots[i].value);
		if (span && span->elem_size <= CORO_BYTES_MAX && !span->noscan &&
			(roots[i].value - span->base) % span->elem_size == 0 &&
			memory_u64(&reading->heap->runtime->memory, roots[i].value) ==
				goroutine->address)
			return roots[i].value;
	}
	return 0;
}

// Semaphores and conditions up to 1.25: by the roots of the frames that wait.
static void frames_follow(struct reading *reading, const struct goroutine *goroutine,
	enum wait_means means, const struct root *roots, size_t count)
{
	remote_addr sudog = 0;

	for (size_t i = 0; i < count && !sudog; i++)
		if (roots[i].frame == FRAME_WAITER &&
			root_is_sudog(reading, goroutine, roots[i].value))
			sudog = roots[i].value;
	if (!sudog)
		return;
	if (means == MEANS_SEMAPHORE) {
		waits_for(reading, sudog, sudog_read(reading, sudog).elem, false);
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (roots[i].frame == FRAME_COND_WAIT)
			waits_for(reading, sudog, roots[i].value, false);
}

static enum wait_means goroutine_means(const struct goroutine *goroutine, bool *known)
{
	*known = false;
	if (goroutine->status != GOROUTINE_WAITING)
		return MEANS_NOTHING;
	for (size_t i = 0; i < ARRAY_COUNT(reasons); i++) {
		if (!strcmp(goroutine->wait_reason, reasons[i].reason)) {
			*known = true;
			return reasons[i].means;
		}
	}
	return MEANS_NOTHING;
}

// `roots`: those of its stack.
static struct error *wait_read(
	struct reading *reading, uint32_t index, const struct root *roots, size_t count)
{
	const struct goroutine *goroutine = &reading->goroutines->goroutines[index];
	struct wait *wait = &reading->waits.of[index];
	bool known;
	enum wait_means means = goroutine_means(goroutine, &known);

	reading->found_count = 0;
	reading->outside = false;
	reading->place = 0;
	if (!known)
		return NULL;
	if (goroutine->waiting)
		waiting_follow(reading, goroutine);
	else if (means == MEANS_SEMAPHORE || means == MEANS_CONDITION)
		frames_follow(reading, goroutine, means, roots, count);
	else if (means == MEANS_COROUTINE)
		waits_for(reading, 0, coroutine_find(reading, goroutine, roots, count), false);
	// A select leaves no sudogs when all of its channels are nil.
	bool nothing = means == MEANS_NOTHING || !strcmp(goroutine->wait_reason, "select");
	if (reading->outside || (!reading->found_count && !nothing)) {
		wait->global = reading->found_count ? 0 : reading->place;
		return NULL;
	}
	wait->kind = reading->found_count ? WAIT_OBJECTS : WAIT_FOREVER;
	wait->first = (uint32_t)reading->waits.on.count;
	wait->count = reading->found_count;
	for (uint32_t i = 0; i < reading->found_count; i++)
		if (!hw_vector_push(&reading->waits.on, reading->found[i]))
			return error_no_memory();
	return NULL;
}

static int root_compare(const void *a, const void *b)
{
	const struct root *one = a, *other = b;

	return one->owner < other->owner ? -1 : one->owner > other->owner;
}

static bool is_coroutine(const struct goroutine *goroutine)
{
	return goroutine->status == GOROUTINE_WAITING && !strcmp(goroutine->wait_reason, coroutine);
}

// The roots of the frames that tell what is waited for, by goroutine.
static struct error *waiter_roots(const struct goroutine_list *goroutines,
	const struct roots *roots, struct root **out, size_t *count)
{
	HW_VECTOR(struct root) found = HW_VECTOR_INIT;

	for (size_t i = 0; i < roots->list.count; i++) {
		const struct root *root = &roots->list.items[i];
		if (root->kind != ROOT_STACK ||
			(root->frame != FRAME_WAITER && root->frame != FRAME_COND_WAIT &&
				!is_coroutine(&goroutines->goroutines[root->owner])))
			continue;
		if (!hw_vector_push(&found, *root)) {
			hw_vector_deinit(&found);
			return error_no_memory();
		}
	}
	if (found.count)
		qsort(found.items, found.count, sizeof(*found.items), root_compare);
	*out = found.items;
	*count = found.count;
	return NULL;
}

struct error *waits_read(struct heap *heap, const struct goroutine_list *goroutines,
	const struct roots *roots, struct waits *out)
{
	struct reading reading = {.heap = heap, .goroutines = goroutines};
	_cleanup_free_ struct wait_on *found = calloc(CASES_MAX, sizeof(*found));
	_cleanup_free_ struct root *sorted = NULL;
	size_t root_count = 0, next = 0;
	struct error *err = waiter_roots(goroutines, roots, &sorted, &root_count);

	reading.waits.of = calloc((size_t)goroutines->count + 1, sizeof(*reading.waits.of));
	reading.found = found;
	if (!err && (!found || !reading.waits.of))
		err = error_no_memory();
	for (uint32_t i = 0; i < goroutines->count && !err; i++) {
		size_t first = next;
		while (next < root_count && sorted[next].owner == i)
			next++;
		err = wait_read(&reading, i, sorted + first, next - first);
	}
	if (err)
		waits_deinit(&reading.waits);
	else
		*out = reading.waits;
	return err;
}

void waits_deinit(struct waits *waits)
{
	free(waits->of);
	waits->of = NULL;
	hw_vector_deinit(&waits->on);
}
