// The ring against an array.
#include "containers_test.h"

#include "heapwhy/ring.h"

enum { STEPS = 200000 };

static void ring_behaves(size_t value_bytes)
{
	static uint64_t expected[STEPS];
	struct failing_allocator failing = failing_allocator(UINT64_MAX);
	uint64_t random = value_bytes, front = 0, back = 0, value[64];
	struct hw_ring ring;

	hw_ring_init(&ring, value_bytes, 0, &failing.allocator);
	for (int step = 0; step < STEPS; step++) {
		uint64_t chance = next_random(&random);
		// Fills and drains in turns, to the bottom.
		if (chance % 4 < (step / 25000 % 2 ? 1u : 3u)) {
			uint64_t *place = hw_ring_push(&ring);
			assert_non_null(place);
			memset(place, (int)(back & 0x7f), value_bytes);
			*place = expected[back++] = chance;
		} else {
			assert_int_equal(hw_ring_pop(&ring, value), front < back);
			if (front < back)
				assert_int_equal(value[0], expected[front++]);
		}
		assert_int_equal(ring.count, back - front);
		assert_int_equal(ring.held_bytes, failing.bytes);
		if (front < back) {
			uint64_t at = (chance >> 20) % (back - front);
			assert_int_equal(*(uint64_t *)hw_ring_at(&ring, at), expected[front + at]);
			assert_int_equal(*(uint64_t *)hw_ring_first(&ring), expected[front]);
		}
		size_t needed = (size_t)(back - front) * ring.value_bytes;
		assert_true(failing.bytes <=
			    needed + needed / 8 + 4 * (ring.value_bytes << ring.shift));
	}
	hw_ring_clear(&ring);
	assert_int_equal(failing.blocks, 0);
	assert_null(hw_ring_first(&ring));
	assert_non_null(hw_ring_push(&ring));
	hw_ring_deinit(&ring);
	assert_int_equal(failing.blocks, 0);
}

static void ring_behaves_like_an_array(void **state)
{
	bool was = hw_debug_enabled();

	for (int debug = 0; debug < 2; debug++) {
		hw_debug_enable(debug);
		ring_behaves(8);
		ring_behaves(20);
		ring_behaves(500);
	}
	hw_debug_enable(was);
}

// Only in debug mode, and there only the values that were popped.
static void ring_poisons_what_was_popped(void **state)
{
	bool was = hw_debug_enabled();
	struct hw_ring ring;
	uint64_t *values[3];

	hw_debug_enable(true);
	hw_ring_init(&ring, sizeof(uint64_t), 0, NULL);
	for (uint64_t i = 0; i < 3; i++) {
		values[i] = hw_ring_push(&ring);
		*values[i] = i;
	}
	assert_true(hw_ring_pop(&ring, NULL));
	assert_true(hw_ring_pop(&ring, NULL));
	assert_true(hw_debug_is_poisoned(values[0], 2 * sizeof(uint64_t)));
	assert_int_equal(*values[2], 2);
	hw_ring_deinit(&ring);
	hw_debug_enable(was);
}

static void ring_keeps_its_limit(void **state)
{
	struct hw_ring ring;
	uint64_t value;

	hw_ring_init(&ring, 8, 1000, NULL);
	for (uint64_t round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < 1000; i++)
			*(uint64_t *)hw_ring_push(&ring) = i;
		assert_null(hw_ring_push(&ring));
		for (uint64_t i = 0; i < 1000; i++) {
			assert_true(hw_ring_pop(&ring, &value));
			assert_int_equal(value, i);
		}
		assert_false(hw_ring_pop(&ring, NULL));
	}
	hw_ring_deinit(&ring);
}

static void ring_runs_out_of_memory(void **state)
{
	for (uint64_t left = 0; left < 12; left++) {
		struct failing_allocator failing = failing_allocator(left);
		struct hw_ring ring;
		uint64_t pushed = 0, value;
		hw_ring_init(&ring, 8, 0, &failing.allocator);
		for (uint64_t *place; (place = hw_ring_push(&ring)); pushed++)
			*place = pushed;
		for (uint64_t i = 0; i < pushed; i++) {
			assert_true(hw_ring_pop(&ring, &value));
			assert_int_equal(value, i);
		}
		assert_false(hw_ring_pop(&ring, &value));
		hw_ring_deinit(&ring);
		assert_int_equal(failing.blocks, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring_behaves_like_an_array),
		cmocka_unit_test(ring_poisons_what_was_popped),
		cmocka_unit_test(ring_keeps_its_limit),
		cmocka_unit_test(ring_runs_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
