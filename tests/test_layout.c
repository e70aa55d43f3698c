// goruntime/layout: which version gets which offsets and mechanisms, and what is refused.
#include "test.h"

#include "goruntime/layout.h"

static struct layout chosen(const char *version)
{
	struct layout layout;

	assert_success(layout_choose(version, ARCH_AMD64, &layout));
	return layout;
}

static void assert_refused(const char *version, const char *why)
{
	struct layout layout;
	struct error *err = layout_choose(version, ARCH_AMD64, &layout);

	assert_non_null(err);
	assert_int_equal(error_kind(err), ERROR_TARGET);
	assert_non_null(strstr(error_message(err), why));
	error_destroy(err);
}

static void test_versions(void **state)
{
	assert_string_equal(chosen("go1.26.11").at.version, "go1.26.11");
	// Other patch releases, candidates and development versions: the nearest row.
	assert_string_equal(chosen("go1.26").at.version, "go1.26.11");
	assert_string_equal(chosen("go1.26.99").at.version, "go1.26.11");
	assert_string_equal(chosen("go1.27rc1").at.version, "go1.27.4");
	assert_string_equal(chosen("go1.20.4").at.version, "go1.20.12");
	assert_string_equal(chosen("devel go1.25-0123abc Tue Jan 1").at.version, "go1.25.12");
	assert_string_equal(chosen("go1.22.3 (Red Hat 1.22.3-1)").at.version, "go1.22.12");

	assert_refused("go1.18.10", "go1.19 to go1.27");
	assert_refused("go1.28", "go1.19 to go1.27");
	assert_refused("go1.99999999999", "go1.19 to go1.27");
	assert_refused("go2.0", "go1.19 to go1.27");
	assert_refused("go1.", "go1.19 to go1.27");
	assert_refused("", "go1.19 to go1.27");
}

static void test_mechanisms(void **state)
{
	struct layout old = chosen("go1.19.8"), now = chosen("go1.27.4");

	assert_int_equal(old.pointer_bits, POINTER_BITS_TWO_BIT_ARENA);
	assert_int_equal(chosen("go1.21.13").pointer_bits, POINTER_BITS_ARENA);
	assert_int_equal(old.special_weak, 255);
	assert_int_equal(old.maps, MAP_BUCKETS);
	assert_int_equal(now.pointer_bits, POINTER_BITS_HEADER);
	assert_int_equal(now.maps, MAP_SWISS);
	assert_true(now.inline_mark_bits);
	assert_int_equal(now.special_cleanup, 7);
	assert_int_equal(now.minor, 27);
}

static void test_experiments(void **state)
{
	assert_false(chosen("go1.25.12").inline_mark_bits);
	assert_true(chosen("go1.25.12 X:greenteagc").inline_mark_bits);
	assert_false(chosen("go1.26.11-X:nogreenteagc").inline_mark_bits);
	struct layout two = chosen("go1.25.3 X:jsonv2,noswissmap,greenteagc (some vendor)");
	assert_true(two.inline_mark_bits);
	assert_int_equal(two.maps, MAP_BUCKETS);
	// A name that merely begins alike, and one that its version does not know.
	assert_int_equal(chosen("go1.25.3 X:noswissmaps").maps, MAP_SWISS);
	assert_int_equal(chosen("go1.23.5 X:swissmap").maps, MAP_BUCKETS);
	assert_refused("go1.22.12 X:noallocheaders", "GOEXPERIMENT=noallocheaders");
}

// Every row belongs to a supported version, and the fields without which nothing works are there.
static void test_table(void **state)
{
	for (unsigned i = 0; i < layout_table_count; i++) {
		const struct layout_offsets *row = &layout_table[i];
		struct layout layout = chosen(row->version);

		assert_string_equal(layout.at.version, row->version);
		assert_true(row->mheap_allspans > 0 && row->mspan_startAddr > 0);
		assert_true(row->g_sched > 0 && row->g_goid > 0);
		assert_true(row->moduledata_gcdatamask > 0 && row->moduledata_next > 0);
		assert_int_equal(row->finblock_fin >= 0, row->finblock_cnt >= 0);
		assert_int_equal(
			layout.pointer_bits == POINTER_BITS_HEADER, row->mspan_largeType >= 0);
		assert_int_equal(
			layout.pointer_bits != POINTER_BITS_HEADER, row->heapArena_bitmap >= 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_mechanisms),
		cmocka_unit_test(test_experiments),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
