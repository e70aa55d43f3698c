// The rings between threads, and the list that only grows: order, bounds, and nothing lost or seen too early.
#include "containers_test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "heapwhy/append_list.h"
#include "heapwhy/mpmc_ring.h"
#include "heapwhy/registry.h"
#include "heapwhy/spsc_ring.h"

#include "faulty.h"
#include "linear.h"

enum { ITEMS = 200000 };

static void spsc_is_like_a_queue(void **state)
{
	struct faulty faulty;
	uint64_t random = 1, pushed = 0, popped = 0, item = 0;
	faulty_init(&faulty);

	for (size_t capacity = 1; capacity <= 7; capacity++) {
		struct hw_spsc_ring *ring = hw_spsc_ring_create(capacity, &faulty.allocator);
		pushed = popped = 0;
		for (int step = 0; step < 10000; step++) {
			if (next_random(&random) % 2) {
				assert_int_equal(hw_spsc_ring_push(ring, pushed),
					pushed - popped < capacity);
				pushed += pushed - popped < capacity;
			} else if (hw_spsc_ring_pop(ring, &item)) {
				assert_int_equal(item, popped++);
			} else {
				assert_int_equal(pushed, popped);
			}
			assert_int_equal(hw_spsc_ring_count(ring), pushed - popped);
		}
		assert_int_equal(hw_registration_sum((struct hw_registration *)ring, HW_COUNT),
			pushed - popped);
		hw_spsc_ring_destroy(ring);
	}
	assert_null(hw_spsc_ring_create(0, NULL));
	assert_null(hw_spsc_ring_create(SIZE_MAX / 8, NULL));
	faulty.fail_at = 1;
	assert_null(hw_spsc_ring_create(5, &faulty.allocator));
	assert_int_equal(faulty_out(&faulty), 0);
}

static void *spsc_push_all(void *ring)
{
	// What a pointer points to must be there with it.
	static uint64_t payload[ITEMS];

	for (uint64_t i = 0; i < ITEMS; i++) {
		payload[i] = i * 3;
		while (!hw_spsc_ring_push(ring, (uintptr_t)&payload[i]))
			sched_yield();
	}
	return NULL;
}

static void spsc_passes_everything_in_order(void **state)
{
	struct hw_spsc_ring *ring = hw_spsc_ring_create(100, NULL);
	pthread_t thread;
	uint64_t item;

	assert_int_equal(pthread_create(&thread, NULL, spsc_push_all, ring), 0);
	for (uint64_t i = 0; i < ITEMS; i++) {
		while (!hw_spsc_ring_pop(ring, &item))
			sched_yield();
		assert_int_equal(*(uint64_t *)(uintptr_t)item, i * 3);
	}
	pthread_join(thread, NULL);
	assert_int_equal(hw_spsc_ring_count(ring), 0);
	hw_spsc_ring_destroy(ring);
}

static void mpmc_is_like_a_queue(void **state)
{
	struct faulty faulty;
	uint64_t random = 1, pushed = 0, popped = 0, item = 0;
	faulty_init(&faulty);

	for (size_t capacity = 2; capacity <= 7; capacity++) {
		struct hw_mpmc_ring *ring = hw_mpmc_ring_create(capacity, &faulty.allocator);
		pushed = popped = 0;
		for (int step = 0; step < 10000; step++) {
			if (next_random(&random) % 2) {
				assert_int_equal(hw_mpmc_ring_push(ring, pushed),
					pushed - popped < capacity);
				pushed += pushed - popped < capacity;
			} else if (hw_mpmc_ring_pop(ring, &item)) {
				assert_int_equal(item, popped++);
			} else {
				assert_int_equal(pushed, popped);
			}
			assert_int_equal(hw_mpmc_ring_count(ring), pushed - popped);
		}
		assert_int_equal(hw_registration_sum((struct hw_registration *)ring, HW_COUNT),
			pushed - popped);
		hw_mpmc_ring_destroy(ring);
	}
	assert_null(hw_mpmc_ring_create(1, NULL));
	assert_null(hw_mpmc_ring_create(SIZE_MAX / 16, NULL));
	faulty.fail_at = 1;
	assert_null(hw_mpmc_ring_create(5, &faulty.allocator));
	assert_int_equal(faulty_out(&faulty), 0);
}

struct crowd {
	struct hw_mpmc_ring *ring;
	atomic_uint number, pushing, wrong;
	atomic_uchar seen[2][ITEMS];
};

static void *crowd_push(void *argument)
{
	struct crowd *crowd = argument;
	uint64_t number = atomic_fetch_add(&crowd->number, 1);

	for (uint64_t i = 0; i < ITEMS; i++)
		while (!hw_mpmc_ring_push(crowd->ring, number << 32 | i))
			sched_yield();
	atomic_fetch_sub(&crowd->pushing, 1);
	return NULL;
}

static void *crowd_pop(void *argument)
{
	struct crowd *crowd = argument;
	uint64_t item, last[2] = {0, 0};

	for (;;) {
		unsigned pushing = atomic_load(&crowd->pushing);
		if (hw_mpmc_ring_pop(crowd->ring, &item)) {
			uint64_t number = item >> 32, i = item & UINT32_MAX;
			// One producer's items come in its order, each once.
			if (i < last[number] || atomic_fetch_add(&crowd->seen[number][i], 1))
				atomic_fetch_add(&crowd->wrong, 1);
			last[number] = i;
		} else if (!pushing) {
			return NULL; // empty means empty
		} else {
			sched_yield();
		}
	}
}

static void mpmc_loses_nothing(void **state)
{
	static struct crowd crowd;
	pthread_t threads[4];

	crowd.ring = hw_mpmc_ring_create(50, NULL);
	atomic_store(&crowd.pushing, 2);
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, i % 2 ? crowd_pop : crowd_push, &crowd),
			0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&crowd.wrong), 0);
	for (int number = 0; number < 2; number++)
		for (int i = 0; i < ITEMS; i++)
			assert_int_equal(atomic_load(&crowd.seen[number][i]), 1);
	hw_mpmc_ring_destroy(crowd.ring);
}

// A queue as the model: the count, then the items, the oldest first.
enum { PUSH, POP, CAPACITY = 3 };

static void choose(struct linear_operation *operation, uint64_t random)
{
	operation->kind = random % 2;
	operation->argument = 1 + (random >> 8) % 1000;
}

static void perform(void *ring, struct linear_operation *operation)
{
	uint64_t item;

	if (operation->kind == PUSH)
		operation->result = hw_mpmc_ring_push(ring, operation->argument);
	else
		operation->result = hw_mpmc_ring_pop(ring, &item) ? item : 0;
}

static bool apply(struct linear_model *model, const struct linear_operation *operation)
{
	uint64_t *count = &model->words[0], *items = &model->words[1];

	if (operation->kind == PUSH) {
		if (!operation->result)
			return *count == CAPACITY;
		if (*count == CAPACITY)
			return false;
		items[(*count)++] = operation->argument;
		return true;
	}
	if (!*count)
		return !operation->result;
	if (operation->result != items[0])
		return false;
	memmove(&items[0], &items[1], --*count * sizeof(*items));
	items[*count] = 0;
	return true;
}

static void clear(void *ring)
{
	uint64_t item;

	while (hw_mpmc_ring_pop(ring, &item))
		;
}

static void mpmc_histories_are_linearizable(void **state)
{
	static const struct linear_subject linear = {3, 7, choose, perform, apply, clear};
	struct hw_mpmc_ring *ring = hw_mpmc_ring_create(CAPACITY, NULL);

	linear_rounds(&linear, ring, 2000);
	hw_mpmc_ring_destroy(ring);
}

struct event {
	uint64_t number, twice, thrice;
};

static void append_list_keeps_everything_in_place(void **state)
{
	enum { LIMIT = 5000 };
	struct faulty faulty;
	faulty_init(&faulty);
	const struct event *places[LIMIT];
	struct hw_append_list *list =
		hw_append_list_create(sizeof(struct event), LIMIT, &faulty.allocator);
	size_t refused = 0;

	for (uint64_t i = 0; i < LIMIT; i++) {
		struct event event = {i, 2 * i, 3 * i};
		faulty.fail_at = 1;
		if (!hw_append_list_append(list, &event)) {
			refused++;
			assert_int_equal(hw_append_list_count(list), i);
			faulty.fail_at = 0;
			assert_true(hw_append_list_append(list, &event));
		}
		places[i] = hw_append_list_at(list, i);
		assert_int_equal((uintptr_t)places[i] % 16, 0);
	}
	assert_int_equal(refused, 9); // segments of 16 to 4096
	assert_null(hw_append_list_begin(list));
	assert_false(hw_append_list_append(list, places[0]));
	assert_int_equal(hw_append_list_count(list), LIMIT);
	for (uint64_t i = 0; i < LIMIT; i++) {
		assert_ptr_equal(hw_append_list_at(list, i), places[i]);
		assert_int_equal(places[i]->thrice, 3 * i);
	}
	assert_int_equal(hw_registration_sum((struct hw_registration *)list, HW_HELD_BYTES),
		faulty_out(&faulty));
	hw_append_list_destroy(list);
	assert_null(hw_append_list_create(0, 1, NULL));
	faulty.fail_at = 1;
	assert_null(hw_append_list_create(8, 1, &faulty.allocator));
	assert_int_equal(faulty_out(&faulty), 0);
}

struct growing {
	struct hw_append_list *list;
	atomic_uint number, wrong;
};

enum { GROWING = 10000 }; // of each thread that appends

// Fresh memory, all 0, must not look complete.
static struct event event_make(uint64_t number)
{
	return (struct event){number, ~number, number + 1};
}

static bool event_is_complete(const struct event *event)
{
	return event->twice == ~event->number && event->thrice == event->number + 1;
}

// In both ways.
static void *growing_append(void *argument)
{
	struct growing *growing = argument;
	uint64_t number = (uint64_t)atomic_fetch_add(&growing->number, 1) << 32;

	for (uint64_t i = 0; i < GROWING; i++) {
		struct event event = event_make(number | i);
		if (i % 2) {
			hw_append_list_append(growing->list, &event);
			continue;
		}
		struct event *place = hw_append_list_begin(growing->list);
		*place = event;
		hw_append_list_commit(growing->list);
	}
	return NULL;
}

// Stays right behind what is counted: an element that is counted too early is caught before it is complete.
static void *growing_read(void *argument)
{
	struct growing *growing = argument;
	size_t read = 0;

	while (read < 2 * GROWING) {
		size_t count = hw_append_list_count(growing->list);
		if (count == read)
			sched_yield();
		for (; read < count; read++)
			if (!event_is_complete(hw_append_list_at(growing->list, count - 1)) ||
				!event_is_complete(hw_append_list_at(growing->list, read)))
				atomic_fetch_add(&growing->wrong, 1);
	}
	return NULL;
}

static void append_list_shows_only_what_is_complete(void **state)
{
	struct growing growing = {.list = hw_append_list_create(sizeof(struct event), 0, NULL)};
	uint64_t next[2] = {0, 0};
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
					 i % 2 ? growing_append : growing_read, &growing),
			0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&growing.wrong), 0);
	for (size_t i = 0; i < 2 * GROWING; i++) {
		const struct event *event = hw_append_list_at(growing.list, i);
		assert_int_equal(event->number & UINT32_MAX, next[event->number >> 32]++);
	}
	hw_append_list_destroy(growing.list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spsc_is_like_a_queue),
		cmocka_unit_test(spsc_passes_everything_in_order),
		cmocka_unit_test(mpmc_is_like_a_queue),
		cmocka_unit_test(mpmc_loses_nothing),
		cmocka_unit_test(mpmc_histories_are_linearizable),
		cmocka_unit_test(append_list_keeps_everything_in_place),
		cmocka_unit_test(append_list_shows_only_what_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
