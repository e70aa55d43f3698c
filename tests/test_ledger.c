// What windows see together, against a map of bytes that is filled in one by one; and how full maps
// are, in both layouts, whole and damaged.
#include "test.h"

#include <stdbool.h>

#include "goruntime/map_occupancy.h"
#include "heap_image.h"
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

// ---- maps: of int to int, whose values are laid out like that: 8 bytes of hashes, 8 slots of 16, and
// in buckets a pointer to the next one.

enum { BUCKET = 144, GROUP = 136, OVERFLOW = BUCKET - 8 };

struct map_fixture {
	struct heap_image image;
	struct go_type group, header;
	remote_addr map; // the header
};

static void map_init(struct map_fixture *fixture, const char *version, uint64_t group)
{
	*fixture = (struct map_fixture){.group = {.name = "group", .size = group}};
	fixture->header = (struct go_type){.name = "map[int]int",
		.group = &fixture->group,
		.key = &fixture->group,
		.elem = &fixture->group,
		.synthetic = true};
	heap_image_init(&fixture->image, version);
	fixture->map = heap_image_room(&fixture->image, 48);
}

static remote_addr map_array(struct map_fixture *fixture, uint32_t page, uint32_t bytes)
{
	struct image_span *span = heap_image_span(&fixture->image, page, 1, bytes, true);

	heap_image_allocate(&fixture->image, span, 0);
	return span->base;
}

static bool map_ask(struct map_fixture *fixture, struct map_occupancy *out)
{
	heap_image_open(&fixture->image);
	bool good = map_measure(fixture->image.heap, &fixture->image.runtime.memory,
		&fixture->header, fixture->map, NULL, out);
	heap_image_deinit(&fixture->image);
	return good;
}

// Two buckets and one more behind the first.
static void build_buckets(struct map_fixture *fixture, uint64_t entries, remote_addr *more)
{
	map_init(fixture, "go1.21.13", BUCKET);
	remote_addr buckets = map_array(fixture, 0, 2 * BUCKET);
	*more = map_array(fixture, 1, BUCKET);
	heap_image_store(&fixture->image, buckets + OVERFLOW, *more, 8);
	heap_image_store(&fixture->image, fixture->map, entries, 8);
	heap_image_store(&fixture->image, fixture->map + 9, 1, 1);  // B
	heap_image_store(&fixture->image, fixture->map + 10, 1, 2); // noverflow
	heap_image_store(&fixture->image, fixture->map + 16, buckets, 8);
}

static void test_map_of_buckets(void **state)
{
	struct map_fixture fixture;
	struct map_occupancy map;
	remote_addr more;

	build_buckets(&fixture, 5, &more);
	assert_true(map_ask(&fixture, &map));
	assert_int_equal(map.entries, 5);
	assert_int_equal(map.slots, 24);
	assert_int_equal(map.overflow, 1);
	assert_int_equal(map.bytes, 3 * BUCKET);
	assert_int_equal(map.slack_bytes, 3 * BUCKET - 5 * BUCKET / 8);
	assert_int_equal(map.rebuilt_bytes, BUCKET);
}

static void test_map_of_buckets_damaged(void **state)
{
	struct map_fixture fixture;
	struct map_occupancy map;
	remote_addr more;

	build_buckets(&fixture, 5, &more);
	heap_image_store(&fixture.image, more + OVERFLOW, more, 8); // bites its own tail
	assert_false(map_ask(&fixture, &map));
	build_buckets(&fixture, 5, &more);
	heap_image_store(&fixture.image, more + OVERFLOW, 0x1234, 8); // leads out of the heap
	assert_false(map_ask(&fixture, &map));
	build_buckets(&fixture, 25, &more); // more entries than slots
	assert_false(map_ask(&fixture, &map));
	build_buckets(&fixture, 5, &more);
	heap_image_store(&fixture.image, fixture.map + 9, 200, 1); // 2^200 buckets
	assert_false(map_ask(&fixture, &map));
}

static void test_small_swiss_map(void **state)
{
	struct map_fixture fixture;
	struct map_occupancy map;

	map_init(&fixture, "go1.26.11", GROUP);
	heap_image_store(&fixture.image, fixture.map, 3, 8);
	heap_image_store(&fixture.image, fixture.map + 16, map_array(&fixture, 0, 144), 8);
	assert_true(map_ask(&fixture, &map));
	assert_int_equal(map.slots, 8);
	assert_int_equal(map.bytes, 144);
	assert_int_equal(map.slack_bytes, 144 - 3 * GROUP / 8);
	assert_int_equal(map.rebuilt_bytes, 144);
}

// Both entries of the directory lead to one table of 16 slots: 10 entries, 1 deleted, 3 may be added.
static remote_addr build_table(struct map_fixture *fixture)
{
	map_init(fixture, "go1.26.11", GROUP);
	remote_addr table = heap_image_room(&fixture->image, 32);
	remote_addr directory = map_array(fixture, 1, 16);
	heap_image_store(&fixture->image, table, 10, 2);
	heap_image_store(&fixture->image, table + 2, 16, 2);
	heap_image_store(&fixture->image, table + 4, 3, 2);
	heap_image_store(&fixture->image, table + 16, map_array(fixture, 0, 288), 8);
	heap_image_store(&fixture->image, directory, table, 8);
	heap_image_store(&fixture->image, directory + 8, table, 8);
	heap_image_store(&fixture->image, fixture->map, 10, 8);
	heap_image_store(&fixture->image, fixture->map + 16, directory, 8);
	heap_image_store(&fixture->image, fixture->map + 24, 2, 8);
	return table;
}

static void test_swiss_table(void **state)
{
	struct map_fixture fixture;
	struct map_occupancy map;

	build_table(&fixture);
	assert_true(map_ask(&fixture, &map));
	assert_int_equal(map.slots, 16);
	assert_int_equal(map.tombstones, 1);
	assert_int_equal(map.bytes, 288);
	assert_int_equal(map.slack_bytes, 288 - 10 * GROUP / 8);
	assert_int_equal(map.rebuilt_bytes, 288);
}

static void test_swiss_table_damaged(void **state)
{
	struct map_fixture fixture;
	struct map_occupancy map;

	remote_addr table = build_table(&fixture);
	heap_image_store(&fixture.image, table + 4, 5, 2); // more than the load allows
	assert_false(map_ask(&fixture, &map));
	table = build_table(&fixture);
	heap_image_store(&fixture.image, table + 2, 0, 2); // no slots
	assert_false(map_ask(&fixture, &map));
	build_table(&fixture);
	heap_image_store(&fixture.image, fixture.map + 24, 3, 8); // beyond the directory's object
	assert_false(map_ask(&fixture, &map));
}

// runtime/map.go of 1.21 and 1.22: 6 and 6.5 entries a bucket, and from 16 buckets on more in advance.
static void test_map_bytes_needed(void **state)
{
	static const struct {
		const char *version;
		uint64_t entries, bytes;
	} rows[] = {
		{"go1.21.13", 0, 0}, {"go1.21.13", 8, BUCKET}, {"go1.21.13", 9, 2 * BUCKET},
		{"go1.21.13", 13, 4 * BUCKET}, {"go1.22.12", 13, 2 * BUCKET},
		{"go1.22.12", 100, 2688}, // 16 + 1 buckets, 2448
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct map_fixture fixture;
		map_init(&fixture, rows[i].version, BUCKET);
		map_array(&fixture, 0, 16);
		heap_image_open(&fixture.image);
		uint64_t bytes =
			map_bytes_needed(fixture.image.heap, &fixture.group, rows[i].entries);
		heap_image_deinit(&fixture.image);
		assert_int_equal(bytes, rows[i].bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_extents_against_bytes),
		cmocka_unit_test(test_extents_overlap),
		cmocka_unit_test(test_map_of_buckets),
		cmocka_unit_test(test_map_of_buckets_damaged),
		cmocka_unit_test(test_small_swiss_map),
		cmocka_unit_test(test_swiss_table),
		cmocka_unit_test(test_swiss_table_damaged),
		cmocka_unit_test(test_map_bytes_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
