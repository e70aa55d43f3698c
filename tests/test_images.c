// From bytes to the agreement with the collector, on captured images of real processes
// (images/program.go).
//
//	test_images IMAGE...
#include "test.h"

#include "captured.h"
#include "goruntime/roots.h"
#include "runtime_exercise.h"

static char **image_paths;
static int image_count;

static void test_agreement(void **state)
{
	for (int i = 0; i < image_count; i++) {
		struct captured *captured;
		struct runtime_outcome outcome;

		assert_success(captured_load(image_paths[i], &captured));
		assert_success(runtime_exercise(captured_target(captured), &outcome));
		if (!outcome.agreement.comparable)
			fail_msg("%s: %s", image_paths[i], outcome.agreement.why);
		assert_int_equal(outcome.agreement.missing, 0);
		assert_int_equal(outcome.agreement.extra, 0);
		assert_int_equal(outcome.agreement.impossible, 0);
		assert_true(outcome.agreement.marked > 500);
		assert_true(outcome.typed_objects > 100); // most of the code is left out
		assert_int_equal(outcome.allocated_bytes, captured_heap_alloc(captured));
		assert_int_equal(outcome.faults, 0);
		assert_true(outcome.goroutines > 8);
		const unsigned kinds =
			1 << ROOT_GLOBAL | 1 << ROOT_STACK | 1 << ROOT_FINALIZER | 1 << ROOT_QUEUED;
		assert_int_equal(outcome.root_kinds & kinds, kinds);
		captured_destroy(captured);
	}
}

// Whatever of the executable is damaged, there is an error in words or a result, and no crash.
static void test_damage(void **state)
{
	for (int i = 0; i < image_count; i++) {
		struct captured *captured;

		assert_success(captured_load(image_paths[i], &captured));
		struct target *target = captured_target(captured);
		for (size_t r = 0; r < target->region_count; r++) {
			struct runtime_outcome outcome;

			if (!target->regions[r].is_exe)
				continue;
			target->regions[r].readable = false;
			_cleanup_error_ struct error *err = runtime_exercise(target, &outcome);
			target->regions[r].readable = true;
			captured_forget(captured);
			assert_true(!err || error_kind(err) == ERROR_TARGET);
		}
		captured_destroy(captured);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agreement),
		cmocka_unit_test(test_damage),
	};

	image_paths = argv + 1;
	image_count = argc - 1;
	return cmocka_run_group_tests_name("images", tests, NULL, NULL);
}
