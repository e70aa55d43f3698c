// The hash map where its table is: keys with patterns, keys chosen against it, keys that come and go, both orders of
// looking things up. tests/test_containers.c and tests/test_entries.c have its interface.
#include "containers_test.h"

#include "heapwhy/budget.h"
#include "heapwhy/map.h"

// Times the golden ratio's fraction this is 1: its multiples are all at home in the first line of a new map.
static const uint64_t against_us = UINT64_C(0xf1de83e19937733d);

static uint64_t key_of(int pattern, uint64_t i)
{
	double number = (double)i;
	uint64_t bits;

	switch (pattern) {
	case 0:
		return i;
	case 1:
		return ~i;
	case 2:
		return i << 12;
	case 3:
		return i << 44;
	case 4:
		return (i / 100) << 32 | (i % 100);
	case 5:
		return i * against_us;
	default:
		memcpy(&bits, &number, sizeof(bits));
		return bits;
	}
}

enum { PATTERNS = 7, KEYS = 20000 };

// A walk meets each key once, and those that it removes are gone.
static size_t walk_all(struct hw_map *map, uint64_t random)
{
	struct hw_map_iterator it = hw_map_iterate(map);
	const struct hw_map_walk *entry;
	static bool met[KEYS];
	size_t removed = 0, count = 0;

	memset(met, 0, sizeof(met));
	while ((entry = hw_map_iterator_next(&it))) {
		assert_true(entry->value < KEYS && !met[entry->value]);
		met[entry->value] = true;
		count++;
		if (next_random(&random) % 64 == 0) {
			uint64_t key = entry->key;
			assert_true(hw_map_iterator_remove(&it));
			assert_false(hw_map_get(map, key, NULL));
			removed++;
		}
	}
	assert_false(it.failed);
	assert_int_equal(count, map->count + removed);
	return removed;
}

// Half of the keys come and go, and each lookup is right after hits as after misses, and while the map is moving.
static void keys_come_and_go(struct hw_map *map, int pattern)
{
	static bool present[KEYS];
	uint64_t random = 5, value;
	size_t count = 0;

	memset(present, 0, sizeof(present));
	for (int step = 0; step < 6 * KEYS; step++) {
		uint64_t i = next_random(&random) % KEYS, key = key_of(pattern, i);
		bool emptying = step / (2 * KEYS) == 1;
		value = i + 1;
		assert_int_equal(hw_map_get(map, key, &value), present[i]);
		assert_int_equal(value, present[i] ? i : i + 1);
		if (next_random(&random) % 4 < (emptying ? 3 : 1)) {
			assert_int_equal(hw_map_delete(map, key), present[i]);
			count -= present[i];
			present[i] = false;
		} else {
			assert_true(hw_map_put(map, key, i));
			count += !present[i];
			present[i] = true;
		}
		assert_int_equal(map->count, count);
		if (step % 1000 == 0) {
			count -= walk_all(map, random);
			for (i = 0; i < KEYS; i++)
				present[i] = hw_map_get(map, key_of(pattern, i), NULL);
		}
	}
	for (int hits = 1; hits >= 0; hits--)
		for (uint64_t i = 0; i < KEYS; i++)
			if (present[i] == hits) {
				value = i + 1;
				assert_int_equal(hw_map_get(map, key_of(pattern, i), &value), hits);
				assert_int_equal(value, hits ? i : i + 1);
			}
}

static void map_takes_any_pattern(void **state)
{
	for (int pattern = 0; pattern < PATTERNS; pattern++)
		for (uint64_t way = 0; way < 4; way++) {
			struct failing_allocator counting = failing_allocator(UINT64_MAX);
			struct hw_map map;
			hw_map_init_with(&map, &counting.allocator);
			if (way % 2)
				hw_map_seed(&map, way);
			hw_map_rebuild_gradually(&map, way / 2);
			keys_come_and_go(&map, pattern);
			assert_int_equal(counting.bytes, map.held_bytes);
			hw_map_deinit(&map);
			assert_int_equal(counting.bytes, 0);
		}
}

// A move takes many calls, so none of them moves much, and it is over before the next one has to begin.
static void map_moves_gradually(void **state)
{
	enum { MANY = 200000 };
	uint64_t random = 9, start = random;
	size_t calls = 0, lines = 0;
	struct hw_map map;
	int moves = 0;

	hw_map_init(&map);
	hw_map_rebuild_gradually(&map, true);
	for (int i = 0; i < 2 * MANY; i++) {
		bool moving = map.move;
		size_t lines_before = map.scale / 256;
		if (i == MANY)
			random = start;
		uint64_t key = next_random(&random);
		if (i < MANY)
			assert_true(hw_map_put(&map, key, key));
		else
			assert_true(hw_map_delete(&map, key));
		if (moving && !map.move) {
			assert_true(calls >= lines / 16);
			moves++;
		}
		// Nothing but a move changes the number of lines, and none does while one is going on.
		if (map.scale / 256 != lines_before && lines_before) {
			assert_true(!moving && map.move);
			lines = lines_before;
			calls = 0;
		}
		calls++;
	}
	assert_true(moves > 25);
	hw_map_deinit(&map);
}

// A big table becomes a larger one where it lies. It becomes a smaller one there, too, or, without the little memory that
// this takes, stays as it is.
static void map_changes_size_in_place(void **state)
{
	enum { MANY = 1000000, LEFT = 7 }; // every so manieth stays

	for (int way = 0; way < 2 * PATTERNS; way++) {
		int pattern = way / 2;
		bool tight = way % 2;
		struct hw_budget budget;
		struct hw_map map;
		hw_budget_init(&budget, NULL, 0);
		hw_map_init_with(&map, &budget.allocator);
		for (uint64_t i = 0; i < MANY; i++)
			assert_true(hw_map_put(&map, key_of(pattern, i), i));
		size_t most = map.held_bytes;
		if (pattern != 5) // these are spread anew, which takes another block
			assert_true(hw_budget_peak(&budget) < most * 5 / 4);
		hw_budget_set_limits(&budget, UINT64_MAX, tight ? most : UINT64_MAX);
		uint64_t end = !tight ? MANY : pattern == 3 ? 1 << 20 : UINT64_MAX; // << 44
		for (uint64_t i = MANY; i < end && hw_map_put(&map, key_of(pattern, i), i); i++)
			assert_true(map.held_bytes == most && map.count == i + 1);
		for (uint64_t i = map.count; i-- > MANY;)
			assert_true(hw_map_delete(&map, key_of(pattern, i)));
		for (uint64_t i = 0; i < MANY; i++)
			if (i % LEFT)
				assert_true(hw_map_delete(&map, key_of(pattern, i)));
		assert_true(tight ? map.held_bytes == most : map.held_bytes < most / 3);
		assert_int_equal(map.count, (MANY + LEFT - 1) / LEFT);
		for (uint64_t i = 0, value; i < MANY; i++) {
			bool there = hw_map_get(&map, key_of(pattern, i), &value);
			assert_true(there == !(i % LEFT) && (!there || value == i));
		}
		assert_int_equal(hw_budget_used(&budget), map.held_bytes);
		hw_map_deinit(&map);
		assert_int_equal(hw_budget_used(&budget), 0);
	}
}

// Memory of hw_heap that is new is not cleared again; what was deleted in the rest of the block is not found there.
static void map_grows_into_fresh_memory(void **state)
{
	enum { MANY = 2000000 };
	uint64_t random = 5;
	struct hw_map map;

	hw_map_init(&map);
	for (uint64_t low = 0, high = 0; high < 4 * MANY;) {
		uint64_t left = next_random(&random) % (MANY / 2), size = 0;
		for (uint64_t end = high + MANY / 4 + next_random(&random) % MANY; high < end;
			high++)
			assert_true(hw_map_put(&map, high, high));
		while (high - low > left)
			assert_true(hw_map_delete(&map, low++));
		// Rebuilt by growing, so that lookups ask the lines only.
		for (size = map.held_bytes; map.held_bytes <= size; high++)
			assert_true(hw_map_put(&map, high, high));
		for (uint64_t key = 0, value; key < high; key++)
			assert_int_equal(hw_map_get(&map, key, &value), key >= low);
	}
	hw_map_deinit(&map);
}

// Stopped in the middle of a move: what holds, what is given back.
static void map_moving_is_a_map(void **state)
{
	for (uint64_t count = 1000; count < 3000; count += 13) {
		struct failing_allocator counting = failing_allocator(UINT64_MAX);
		struct hw_map map;
		uint64_t keys = 0, values[64], asked[64];
		size_t snapshot_count;
		hw_map_init_with(&map, &counting.allocator);
		hw_map_rebuild_gradually(&map, true);
		while (keys < count || !map.move)
			assert_true(hw_map_put(&map, keys, keys)), keys++;
		struct hw_map_entry *entries = hw_map_snapshot(&map, &snapshot_count);
		assert_int_equal(snapshot_count, keys);
		for (uint64_t i = 0; i < 64; i++)
			asked[i] = keys - 32 + i;
		assert_int_equal(hw_map_get_many(&map, asked, 64, values, 7), 32);
		assert_true(values[0] == keys - 32 && values[63] == 7);
		if (count % 4 == 0)
			assert_true(hw_map_reserve(&map, 5 * count));
		else if (count % 4 == 1)
			assert_true(hw_map_shrink(&map));
		else if (count % 4 == 2)
			hw_map_rebuild_gradually(&map, false);
		assert_int_equal(map.move == NULL, count % 4 != 3);
		for (size_t i = 0; i < snapshot_count; i++)
			assert_true(hw_map_delete(&map, entries[i].key));
		assert_int_equal(map.count, 0);
		assert_int_equal(counting.bytes, map.held_bytes);
		free(entries);
		hw_map_deinit(&map);
		assert_int_equal(counting.bytes, 0);
	}
}

// Lines from the keys' homes to where they are.
static double mean_way(const struct hw_map *map, int pattern, uint64_t keys)
{
	size_t lines = map->scale / 256, way = 0;

	for (uint64_t i = 0; i < keys; i++) {
		uint64_t key = key_of(pattern, i);
		size_t line = hw_map_spot_(map, key) / 256;
		while (!(hw_map_match_(&map->lines[line], key) & map->states[line])) {
			line = (line + 1) % lines;
			way++;
		}
	}
	return (double)way / (double)keys;
}

// Keys that would all be strays make the map spread them in another way, without being told. That way is a matter of
// chance; next to all of them are good.
static void map_spreads_what_crowds(void **state)
{
	int good = 0, checks = 0;
	struct hw_map map;

	hw_map_init(&map);
	for (uint64_t i = 0; i < 5 * KEYS; i++) {
		uint64_t *place = hw_map_at(&map, key_of(5, i), i);
		assert_non_null(place);
		assert_int_equal(*place, i);
		if (i % 5000 == 4999) {
			checks++;
			good += mean_way(&map, 5, i + 1) < 16;
		}
	}
	assert_true(good >= checks / 2);
	hw_map_deinit(&map);
}

// Nobody asks a line for a key that was never there only because others have come and gone.
static void map_forgets_what_was_deleted(void **state)
{
	enum { LIVE = 10000, ROUNDS = 40 };
	uint64_t false_alarms = 0;
	struct hw_map map;

	hw_map_init(&map);
	for (uint64_t i = 0; i < LIVE; i++)
		assert_true(hw_map_put(&map, i, i));
	for (uint64_t i = LIVE; i < ROUNDS * LIVE; i++) {
		assert_true(hw_map_delete(&map, i - LIVE));
		assert_true(hw_map_put(&map, i, i));
	}
	for (uint64_t i = 0; i < LIVE; i++) {
		assert_false(hw_map_get(&map, i, NULL));
		assert_true(hw_map_get(&map, (ROUNDS - 1) * LIVE + i, NULL));
		false_alarms += hw_map_may_have_(&map, hw_map_spot_(&map, ~i));
	}
	assert_true(false_alarms < LIVE / 4);
	hw_map_deinit(&map);
}

// The free slots of the first line hold another key than those of all others. None of them is ever found.
static void map_finds_no_filler(void **state)
{
	struct hw_map map;

	hw_map_init(&map);
	for (uint64_t last = 1; last < 300; last++) {
		for (uint64_t key = last; key < 2 * last; key++)
			assert_true(hw_map_put(&map, key, key));
		for (int hits = 0; hits < 200; hits++) // so that lines are asked first, too
			assert_true(hw_map_get(&map, last + (uint64_t)hits % last, NULL));
		assert_false(hw_map_get(&map, 0, NULL));
		assert_int_equal(hw_map_get(&map, map.foreign, NULL),
			map.foreign >= last && map.foreign < 2 * last);
		for (uint64_t key = last; key < 2 * last; key++) {
			assert_true(hw_map_delete(&map, key));
			assert_false(hw_map_get(&map, key, NULL));
			assert_false(hw_map_delete(&map, key));
		}
		assert_false(hw_map_get(&map, 0, NULL));
		assert_false(hw_map_get(&map, map.foreign, NULL));
	}
	hw_map_deinit(&map);
	for (size_t room = 2000; room < 4000000; room *= 4) {
		hw_map_init(&map);
		for (uint64_t random = 1; map.count < 1000 || map.count < map.grow_at;)
			assert_true(hw_map_put(&map, next_random(&random) | UINT64_C(1) << 63, 1));
		for (int round = 0; round < 10; round++)
			hw_map_each (&map, entry)
				assert_true(hw_map_get(&map, entry->key, NULL));
		assert_true(hw_map_reserve(&map, room));
		assert_int_equal(map.order, HW_MAP_LINE_ALONE_);
		for (uint64_t key = 0; key < 1000; key++)
			assert_false(hw_map_get(&map, key, NULL));
		hw_map_deinit(&map);
	}
}

static void map_gives_memory_back(void **state)
{
	for (uint64_t count = 100; count < 200000; count += count / 3) {
		struct failing_allocator counting = failing_allocator(UINT64_MAX);
		struct hw_map map;
		uint64_t left = count - count / 10 * 9;
		hw_map_init_with(&map, &counting.allocator);
		for (uint64_t i = 0; i < count; i++)
			assert_true(hw_map_put(&map, i, i));
		for (uint64_t i = left; i < count; i++)
			assert_true(hw_map_delete(&map, i));
		assert_int_equal(counting.bytes, map.held_bytes);
		assert_true(map.held_bytes <= left * 44 + 300);
		assert_true(hw_map_shrink(&map));
		assert_true(map.held_bytes <= left * 21 + 300);
		for (uint64_t i = 0; i < left; i++)
			assert_true(hw_map_delete(&map, i));
		assert_true(hw_map_shrink(&map));
		assert_int_equal(counting.bytes, 0);
		hw_map_deinit(&map);
	}
}

static void zeros_are_a_map(void **state)
{
	struct hw_map map = {0};

	assert_false(hw_map_get(&map, 1, NULL));
	assert_false(hw_map_delete(&map, 1));
	assert_true(hw_map_put(&map, 1, 2));
	assert_true(hw_map_get(&map, 1, NULL));
	hw_map_deinit(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(map_takes_any_pattern),
		cmocka_unit_test(map_moves_gradually),
		cmocka_unit_test(map_changes_size_in_place),
		cmocka_unit_test(map_grows_into_fresh_memory),
		cmocka_unit_test(map_moving_is_a_map),
		cmocka_unit_test(map_spreads_what_crowds),
		cmocka_unit_test(map_forgets_what_was_deleted),
		cmocka_unit_test(map_finds_no_filler),
		cmocka_unit_test(map_gives_memory_back),
		cmocka_unit_test(zeros_are_a_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
