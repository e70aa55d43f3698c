// What windows see together, against a map of bytes that is filled in one by one.
#include "test.h"

#include <stdbool.h>

#include "ledger/extents.h"

enum { ROOM = 300, EXTENTS_MAX = 12, ROUNDS = 20000 };

struct byte_map {
	bool viewed[ROOM], reachable[ROOM];
};

static void byte_map_measure(
	const struct extent *extents, size_t count, struct byte_map *map, struct coverage *out)
{
	memset(map, 0, sizeof(*map));
	*out = (struct coverage){0};
	for (size_t i = 0; i < count; i++) {
		for (uint32_t b = extents[i].start; b < extents[i].cap; b++) {
			map->reachable[b] = true;
			map->viewed[b] |= b < extents[i].seen;
		}
		if (extents[i].cap > out->end)
			out->end = extents[i].cap;
	}
	for (unsigned b = 0; b < ROOM; b++) {
		out->viewed += map->viewed[b];
		out->spare += map->reachable[b] && !map->viewed[b];
	}
}

// start <= seen <= cap; often empty, equal or adjacent.
static struct extent random_extent(unsigned *seed)
{
	unsigned grain = rand_r(seed) % 3 ? 1 : 50;
	uint32_t points[3];

	for (unsigned i = 0; i < 3; i++)
		points[i] = (uint32_t)rand_r(seed) % (ROOM / grain + 1) * grain;
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned j = 0; j < 2; j++) {
			if (points[j] > points[j + 1]) {
				uint32_t swapped = points[j];
				points[j] = points[j + 1];
				points[j + 1] = swapped;
			}
		}
	}
	return (struct extent){points[0], points[1], points[2]};
}

static int extent_compare(const void *left, const void *right)
{
	const struct extent *a = left, *b = right;

	return a->start < b->start ? -1 : a->start > b->start;
}

static void test_extents_against_bytes(void **state)
{
	struct extent extents[EXTENTS_MAX];
	struct byte_map map;
	unsigned seed = 1;

	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t count = (size_t)rand_r(&seed) % (EXTENTS_MAX + 1);
		struct coverage expected, measured;
		for (size_t i = 0; i < count; i++)
			extents[i] = random_extent(&seed);
		byte_map_measure(extents, count, &map, &expected);
		qsort(extents, count, sizeof(*extents), extent_compare);
		extents_measure(extents, count, sizeof(*extents), &measured);
		assert_int_equal(measured.viewed, expected.viewed);
		assert_int_equal(measured.spare, expected.spare);
		assert_int_equal(measured.end, expected.end);
	}
}

// A slice's capacity is no longer spare where another one sees it.
static void test_extents_overlap(void **state)
{
	const struct extent extents[] = {{0, 10, 100}, {10, 10, 10}, {40, 50, 50}};
	struct coverage coverage;

	extents_measure(extents, ARRAY_COUNT(extents), sizeof(*extents), &coverage);
	assert_int_equal(coverage.viewed, 20);
	assert_int_equal(coverage.spare, 80);
	assert_int_equal(coverage.end, 100);
	extents_measure(extents, 0, sizeof(*extents), &coverage);
	assert_int_equal(coverage.end, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_extents_against_bytes),
		cmocka_unit_test(test_extents_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
