// 100,000 values through a queue that holds 1,000, then 10,000 of them: bytes allocated in all, the most held, time.
// Besides the ring: an array that is resliced as Go's s = append(s[1:], x) does it, a list, an array that only grows (what
// s = s[:0] leaves allocated), and one whose front is deleted by moving the rest (slices.Delete).
#include "bench.h"

#include "account.h"
#include "heapwhy/ring.h"

enum { VALUES = 100000, ROUNDS = 20 };

static uint64_t ring_queue(void *context)
{
	uint64_t window = *(uint64_t *)context, sum = 0, value;
	struct hw_ring ring;

	for (int round = 0; round < ROUNDS; round++) {
		hw_ring_init(&ring, sizeof(uint64_t), 0, &account.allocator);
		for (uint64_t i = 0; i < VALUES; i++) {
			*(uint64_t *)hw_ring_push(&ring) = i;
			if (ring.count > window && hw_ring_pop(&ring, &value))
				sum += value;
		}
		hw_ring_deinit(&ring);
	}
	bench_keep(sum);
	return VALUES * ROUNDS;
}

// Growing copies the live part to an array twice as large, and the front is never used again.
static uint64_t sliced_queue(void *context)
{
	uint64_t window = *(uint64_t *)context, sum = 0;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t *base = NULL, *slice = NULL;
		size_t count = 0, room = 0, bytes = 0;
		for (uint64_t i = 0; i < VALUES; i++) {
			if (count == room) {
				size_t grown = (count ? count * 2 : 8) * sizeof(*base);
				uint64_t *moved = account_take(grown);
				memcpy(moved, slice, count * sizeof(*base));
				account_give(base, bytes);
				base = slice = moved;
				bytes = grown;
				room = grown / sizeof(*base);
			}
			slice[count++] = i;
			if (count > window) {
				sum += *slice++;
				count--;
				room--;
			}
		}
		account_give(base, bytes);
	}
	bench_keep(sum);
	return VALUES * ROUNDS;
}

struct link {
	struct link *next, *previous;
	void *list;
	uint64_t value;
};

static uint64_t list_queue(void *context)
{
	uint64_t window = *(uint64_t *)context, sum = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct link ends = {&ends, &ends, NULL, 0};
		size_t count = 0;
		for (uint64_t i = 0; i < VALUES + window; i++) {
			if (i < VALUES) {
				struct link *link = account_take(sizeof(*link));
				*link = (struct link){&ends, ends.previous, &ends, i};
				ends.previous->next = link;
				ends.previous = link;
				count++;
			}
			if (count > window || i >= VALUES) {
				struct link *first = ends.next;
				ends.next = first->next;
				first->next->previous = &ends;
				sum += first->value;
				account_give(first, sizeof(*first));
				count--;
			}
		}
	}
	bench_keep(sum);
	return VALUES * ROUNDS;
}

// A full array, moved to one twice as large.
static uint64_t *array_grow(uint64_t *array, size_t *capacity)
{
	size_t grown = *capacity ? *capacity * 2 : 8;
	uint64_t *moved = account_take(grown * sizeof(*array));

	memcpy(moved, array, *capacity * sizeof(*array));
	account_give(array, *capacity * sizeof(*array));
	*capacity = grown;
	return moved;
}

static uint64_t array_queue(void *context)
{
	uint64_t window = *(uint64_t *)context, sum = 0;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t *array = NULL;
		size_t capacity = 0, first = 0;
		for (uint64_t i = 0; i < VALUES; i++) {
			if (i == capacity)
				array = array_grow(array, &capacity);
			array[i] = i;
			if (i + 1 - first > window)
				sum += array[first++];
		}
		account_give(array, capacity * sizeof(*array));
	}
	bench_keep(sum);
	return VALUES * ROUNDS;
}

static uint64_t deleting_queue(void *context)
{
	uint64_t window = *(uint64_t *)context, sum = 0;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t *array = NULL;
		size_t capacity = 0, count = 0;
		for (uint64_t i = 0; i < VALUES; i++) {
			if (count == capacity)
				array = array_grow(array, &capacity);
			array[count++] = i;
			if (count > window) {
				sum += array[0];
				memmove(array, array + 1, --count * sizeof(*array));
			}
		}
		account_give(array, capacity * sizeof(*array));
	}
	bench_keep(sum);
	return VALUES * ROUNDS;
}

int main(void)
{
	static const struct contestant queues[] = {{"heapwhy", ring_queue},
		{"resliced array", sliced_queue}, {"list", list_queue},
		{"array that only grows", array_queue}, {"array, front deleted", deleting_queue}};
	enum { QUEUES = sizeof(queues) / sizeof(queues[0]) };

	account_start();
	for (uint64_t window = 1000; window <= 10000; window *= 10) {
		struct contestant racing[QUEUES + 1] = {{NULL}};
		char row[80];
		for (int i = 0; i < QUEUES; i++) {
			racing[i] = queues[i];
			racing[i].context = &window;
			account_start();
			queues[i].run(&window);
			snprintf(row, sizeof(row), "queue of %d: bytes allocated", (int)window);
			bench_value(row, queues[i].name, (double)account.allocated / ROUNDS);
			snprintf(row, sizeof(row), "queue of %d: most bytes held", (int)window);
			bench_value(row, queues[i].name, (double)account.peak);
		}
		snprintf(row, sizeof(row), "queue of %d: push and pop", (int)window);
		bench_race(row, racing);
	}
	return 0;
}
