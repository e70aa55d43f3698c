// The vector that never moves: what it holds, gives back, and may not have.
#include "containers_test.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heapwhy/stable_vector.h"

static void stable_vector_never_moves(void **state)
{
	HW_STABLE_VECTOR(uint64_t) numbers;
	struct hw_budget budget;

	hw_budget_init(&budget, NULL, 0);
	hw_stable_vector_init(&numbers, 0, &budget);
	assert_int_equal(hw_budget_used(&budget), 0);
	assert_true(hw_stable_vector_push(&numbers, 0));
	uint64_t *items = numbers.items;
	for (uint64_t i = 1; i < 2000000; i++) {
		assert_true(hw_stable_vector_push(&numbers, i * 3));
		assert_ptr_equal(numbers.items, items);
	}
	for (uint64_t i = 0; i < 2000000; i++)
		assert_int_equal(items[i], i * 3);
	assert_int_equal(hw_budget_used(&budget), numbers.range.held_bytes);
	assert_true(numbers.range.held_bytes <= 2000000 * 8 * 9 / 8 + (2 << 20));

	numbers.count = 1000;
	hw_stable_vector_shrink(&numbers);
	assert_int_equal(numbers.range.held_bytes, 8192);
	assert_int_equal(hw_budget_used(&budget), 8192);
	assert_int_equal(numbers.capacity, 1024);
	for (uint64_t i = 1000; i < 500000; i++)
		assert_true(hw_stable_vector_push(&numbers, i * 3));
	assert_ptr_equal(numbers.items, items);
	for (uint64_t i = 0; i < 500000; i++)
		assert_int_equal(items[i], i * 3);
	hw_stable_vector_deinit(&numbers);
	assert_int_equal(hw_budget_used(&budget), 0);
	hw_budget_deinit(&budget);
}

static void stable_vector_stays_within_its_range(void **state)
{
	HW_STABLE_VECTOR(uint32_t) numbers;

	hw_stable_vector_init(&numbers, 100000, NULL);
	assert_false(hw_stable_vector_reserve(&numbers, SIZE_MAX));
	assert_false(hw_stable_vector_reserve(&numbers, SIZE_MAX / 4));
	uint32_t pushed = 0;
	while (pushed < 1000000 && hw_stable_vector_push(&numbers, pushed))
		pushed++;
	assert_true(pushed >= 100000 && pushed < 100000 + 4096 / 4);
	assert_int_equal(numbers.items[99999], 99999);
	hw_stable_vector_deinit(&numbers);
}

static void stable_vector_keeps_its_budget(void **state)
{
	HW_STABLE_VECTOR(uint32_t) numbers;
	struct hw_budget budget;

	hw_budget_init(&budget, NULL, 300 << 10);
	hw_stable_vector_init(&numbers, 0, &budget);
	while (hw_stable_vector_push(&numbers, 1))
		assert_true(hw_budget_used(&budget) <= 300 << 10);
	assert_true(numbers.count >= (128 << 10) / 4);
	size_t count = numbers.count;
	assert_false(hw_stable_vector_push(&numbers, 1));
	assert_int_equal(numbers.count, count);
	hw_stable_vector_deinit(&numbers);
	assert_int_equal(hw_budget_used(&budget), 0);
	hw_budget_deinit(&budget);
}

// In a child whose address space is limited: three quarters of it stay free for others.
static void stable_vector_respects_the_address_space(void **state)
{
	pid_t child = fork();

	if (!child) {
		HW_STABLE_VECTOR(uint64_t) numbers;
		unsigned long pages = 0;
		FILE *file = fopen("/proc/self/statm", "r");
		if (!file || fscanf(file, "%lu", &pages) != 1)
			_exit(2);
		fclose(file);
		uint64_t most = (uint64_t)pages * 4096 + (400 << 20);
		if (setrlimit(RLIMIT_AS, &(struct rlimit){most, most}))
			_exit(3);
		hw_stable_vector_init(&numbers, 0, NULL);
		if (!hw_stable_vector_push(&numbers, 1))
			_exit(4);
		if (numbers.range.reserved_bytes > 110 << 20)
			_exit(5);
		void *other = malloc(250 << 20);
		if (!other)
			_exit(6);
		free(other);
		hw_stable_vector_deinit(&numbers);
		// Nothing left at all.
		if (setrlimit(RLIMIT_AS, &(struct rlimit){4096, most}))
			_exit(7);
		hw_stable_vector_init(&numbers, 0, NULL);
		_exit(hw_stable_vector_push(&numbers, 1) ? 8 : 0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
#ifdef __SANITIZE_ADDRESS__
	skip(); // its shadow is beyond any such limit
#endif
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stable_vector_never_moves),
		cmocka_unit_test(stable_vector_stays_within_its_range),
		cmocka_unit_test(stable_vector_keeps_its_budget),
		cmocka_unit_test(stable_vector_respects_the_address_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
