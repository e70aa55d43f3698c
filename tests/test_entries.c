// Weak handles and maps, walks of maps, key-value entries, composite keys, cancellation.
#include "containers_test.h"

#include "heapwhy/cancel.h"
#include "heapwhy/handle.h"
#include "heapwhy/key_space.h"
#include "heapwhy/kv.h"

enum { OBJECTS = 500 };

// Every handle ever made is kept: those of dropped objects must never fit again.
static void handles_notice_what_is_gone(void **state)
{
	enum { STEPS = 20000 };
	static hw_handle made[STEPS];
	static int object_of[STEPS], objects[OBJECTS];
	static bool alive[STEPS];
	struct failing_allocator failing = failing_allocator(UINT64_MAX);
	struct hw_handles handles;
	uint64_t random = 23, count = 0, live = 0;

	hw_handles_init(&handles, &failing.allocator);
	for (int step = 0; step < STEPS; step++) {
		uint64_t chance = next_random(&random);
		if (!count || chance % 2) {
			int object = (int)((chance >> 8) % OBJECTS);
			made[count] = hw_handle_make(&handles, &objects[object]);
			assert_true(made[count] != 0);
			object_of[count] = object;
			alive[count++] = true;
			live++;
		} else {
			uint64_t which = (chance >> 8) % count;
			live -= alive[which];
			hw_debug_set_handler(keep_violation);
			assert_int_equal(hw_handle_drop(&handles, made[which]), alive[which]);
			hw_debug_set_handler(NULL);
			alive[which] = false;
		}
		assert_int_equal(handles.count, live);
	}
	for (uint64_t i = 0; i < count; i++) {
		int *there = hw_handle_get(&handles, made[i]);
		assert_ptr_equal(there, alive[i] ? &objects[object_of[i]] : NULL);
		assert_int_equal(hw_handle_move(&handles, made[i], &objects[0]), alive[i]);
	}
	assert_null(hw_handle_get(&handles, 0));
	assert_null(hw_handle_get(&handles, UINT64_MAX));
	failing.left = 0;
	while (hw_handle_make(&handles, objects))
		continue;
	hw_handles_deinit(&handles);
	assert_int_equal(failing.blocks, 0);
}

static void weak_map_forgets_the_dead(void **state)
{
	struct hw_handles handles;
	struct hw_weak_map weak;
	static hw_handle made[OBJECTS];
	static int objects[OBJECTS];

	hw_handles_init(&handles, NULL);
	hw_weak_map_init(&weak, &handles, NULL);
	for (uint64_t i = 0; i < OBJECTS; i++) {
		made[i] = hw_handle_make(&handles, &objects[i]);
		assert_true(hw_weak_map_put(&weak, i, made[i]));
	}
	for (uint64_t i = 0; i < OBJECTS; i++)
		if (i % 5)
			assert_true(hw_handle_drop(&handles, made[i]));
	assert_null(hw_weak_map_get(&weak, 1));
	assert_int_equal(weak.map.count, OBJECTS - 1);
	size_t held = weak.map.held_bytes;
	assert_int_equal(hw_weak_map_sweep(&weak), OBJECTS / 5 * 4 - 1);
	assert_true(weak.map.held_bytes < held / 3);
	for (uint64_t i = 0; i < OBJECTS; i++)
		assert_ptr_equal(hw_weak_map_get(&weak, i), i % 5 ? NULL : &objects[i]);
	hw_weak_map_deinit(&weak);
	hw_handles_deinit(&handles);
}

// Walks that remove, against walks that do not; the map is full of overflowed groups, and empties.
static void map_walks_while_entries_go(void **state)
{
	struct hw_map map;
	uint64_t random = 31, value;
	const struct hw_map_walk *entry;

	hw_map_init(&map);
	for (uint64_t i = 0; i < 5000; i++)
		assert_true(hw_map_put(&map, i * i, i));
	for (uint64_t left = 5000; left;) {
		struct hw_map_iterator it = hw_map_iterate(&map);
		uint64_t walked = 0, removed = 0;
		assert_false(hw_map_iterator_remove(&it));
		while ((entry = hw_map_iterator_next(&it))) {
			walked++;
			assert_int_equal(entry->key, entry->value * entry->value);
			if (next_random(&random) % 3 == 0 || left < 10) {
				assert_true(hw_map_iterator_remove(&it));
				assert_false(hw_map_iterator_remove(&it));
				removed++;
			}
		}
		assert_false(it.failed);
		assert_int_equal(walked, left);
		left -= removed;
		assert_int_equal(map.count, left);
		assert_true(hw_map_shrink(&map));
		assert_true(map.held_bytes <= left * 22 + 600);
		uint64_t found = 0;
		for (uint64_t i = 0; i < 5000; i++)
			found += hw_map_get(&map, i * i, &value);
		assert_int_equal(found, left);
	}
	assert_int_equal(map.held_bytes, 0);
	assert_true(hw_map_put(&map, 1, 2));
	struct hw_map_iterator it = hw_map_iterate(&map);
	assert_true(hw_map_put(&map, 2, 3));
	assert_null(hw_map_iterator_next(&it));
	assert_true(it.failed);
	size_t count;
	struct hw_map_entry *entries = hw_map_snapshot(&map, &count);
	assert_int_equal(count, 2);
	assert_int_equal(entries[0].key + entries[1].key, 3);
	free(entries);
	hw_map_deinit(&map);
	assert_null(hw_map_snapshot(&map, &count));
	assert_int_equal(count, 0);
}

static void map_finds_many_at_once(void **state)
{
	struct hw_map map;
	uint64_t keys[1000], values[1000];

	hw_map_init(&map);
	assert_int_equal(hw_map_get_many(&map, keys, 0, values, 7), 0);
	for (uint64_t i = 0; i < 1000; i++)
		keys[i] = i;
	assert_int_equal(hw_map_get_many(&map, keys, 1000, values, 7), 0);
	assert_int_equal(values[999], 7);
	for (uint64_t i = 0; i < 1000; i += 2)
		assert_true(hw_map_put(&map, i, i + 100));
	assert_int_equal(hw_map_get_many(&map, keys, 1000, values, 7), 500);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(values[i], i % 2 ? 7 : i + 100);
	hw_map_deinit(&map);
}

// Whatever the allocation that fails, the map is as it was.
static void map_runs_out_of_memory(void **state)
{
	for (uint64_t left = 0; left < 9; left++) {
		struct failing_allocator failing = failing_allocator(left);
		struct hw_map map;
		uint64_t count = 0, value;
		hw_map_init_with(&map, &failing.allocator);
		while (hw_map_put(&map, count * 77, count))
			count++;
		assert_null(hw_map_at(&map, 1, 0));
		assert_false(hw_map_reserve(&map, 100000));
		assert_int_equal(map.count, count);
		for (uint64_t i = 0; i < count; i++) {
			assert_true(hw_map_get(&map, i * 77, &value));
			assert_int_equal(value, i);
		}
		// It cannot shrink either, and does not mind.
		for (uint64_t i = 0; i < count; i++)
			assert_true(hw_map_delete(&map, i * 77));
		assert_int_equal(map.count, 0);
		hw_map_deinit(&map);
		assert_int_equal(failing.blocks, 0);
	}
}

static void kv_assert(const struct hw_kv *entry, const char *value)
{
	assert_int_equal(entry->value_bytes, strlen(value));
	assert_memory_equal(hw_kv_value(entry), value, strlen(value));
	assert_memory_equal(hw_kv_key(entry), "key", 3);
}

static void kv_updates_in_three_ways(void **state)
{
	struct failing_allocator failing = failing_allocator(UINT64_MAX);
	struct hw_kv *entry = hw_kv_make("key", 3, "first", 5, &failing.allocator), *at = entry;

	assert_true(hw_kv_update(&at, "2nd", 3));
	assert_ptr_equal(at, entry); // in place
	kv_assert(at, "2nd");
	struct hw_kv *reader = hw_kv_hold(at);
	assert_true(hw_kv_update(&at, "3rd", 3));
	assert_ptr_not_equal(at, reader);
	kv_assert(reader, "2nd");
	kv_assert(at, "3rd");
	hw_kv_release(reader);
	assert_int_equal(failing.blocks, 1);

	char large[1000];
	memset(large, 'x', sizeof(large));
	assert_true(hw_kv_update(&at, large, sizeof(large)));
	assert_true(failing.bytes > sizeof(large));
	assert_true(hw_kv_update(&at, "small", 5));
	assert_true(failing.bytes < 200); // the room went back
	struct hw_kv *old = hw_kv_replace(&at, "4th", 3);
	kv_assert(old, "small");
	kv_assert(at, "4th");
	hw_kv_release(old);

	struct hw_handles handles;
	hw_handles_init(&handles, NULL);
	hw_handle handle = hw_handle_make(&handles, at);
	assert_true(hw_kv_update_handle(&handles, handle, large, sizeof(large)));
	at = hw_handle_get(&handles, handle);
	assert_int_equal(at->value_bytes, sizeof(large));
	failing.left = 0;
	struct hw_kv *held = hw_kv_hold(at);
	assert_false(hw_kv_update(&at, "5th", 3));
	assert_null(hw_kv_replace(&at, "5th", 3));
	assert_false(hw_kv_update_handle(&handles, handle, "5th", 3));
	assert_ptr_equal(at, held);
	assert_true(hw_handle_drop(&handles, handle));
	assert_false(hw_kv_update_handle(&handles, handle, "5th", 3));
	assert_null(hw_kv_make("key", 3, "value", 5, &failing.allocator));
	assert_null(hw_kv_make("key", 3, large, SIZE_MAX, NULL));
	hw_handles_deinit(&handles);
	hw_kv_release(held);
	hw_kv_release(at);
	hw_kv_release(NULL);
	assert_int_equal(failing.blocks, 0);
}

static void keys_become_invalid_in_families(void **state)
{
	struct hw_key_space keys;
	struct hw_map seen;
	uint64_t key, again;

	hw_key_space_init(&keys, NULL);
	hw_map_init(&seen);
	static const char *const names[] = {
		"", "a", "session", "sessions", "sessionss", "a rather long name"};
	for (size_t n = 0; n < ARRAY_COUNT(names); n++)
		for (uint64_t entity = 0; entity < 50; entity++)
			for (uint64_t version = 0; version < 10; version++) {
				assert_true(hw_key_make(&keys, names[n], entity, version, &key));
				assert_false(hw_map_get(&seen, key, NULL));
				assert_true(hw_map_put(&seen, key, 1));
				assert_true(hw_key_make(&keys, names[n], entity, version, &again));
				assert_int_equal(key, again);
			}
	assert_true(hw_key_invalidate_entity(&keys, "session", 7));
	assert_true(hw_key_expire_versions(&keys, "session", 5));
	assert_true(hw_key_expire_versions(&keys, "session", 4)); // never goes down
	assert_true(hw_key_invalidate(&keys, "a"));
	for (size_t n = 0; n < ARRAY_COUNT(names); n++)
		for (uint64_t entity = 0; entity < 50; entity++)
			for (uint64_t version = 0; version < 10; version++) {
				bool session = !strcmp(names[n], "session");
				bool valid = hw_key_make(&keys, names[n], entity, version, &key);
				assert_int_equal(valid, !(session && version < 5));
				bool lost = !strcmp(names[n], "a") || (session && entity == 7);
				if (valid)
					assert_int_equal(hw_map_get(&seen, key, NULL), !lost);
			}
	hw_map_deinit(&seen);
	hw_key_space_deinit(&keys);

	struct failing_allocator failing = failing_allocator(0);
	hw_key_space_init(&keys, &failing.allocator);
	assert_true(hw_key_make(&keys, "a", 1, 1, &key));
	assert_false(hw_key_invalidate(&keys, "a"));
	assert_false(hw_key_invalidate_entity(&keys, "a", 1));
	assert_false(hw_key_expire_versions(&keys, "a", 1));
	assert_true(hw_key_make(&keys, "a", 1, 0, &again));
	assert_true(hw_key_make(&keys, "a", 1, 1, &again));
	assert_int_equal(key, again);
	hw_key_space_deinit(&keys);
}

// A tree of a thousand tokens, each below one before it; a model knows each one's parent.
static void cancelling_reaches_all_below(void **state)
{
	enum { TOKENS = 1000 };
	static struct hw_cancel tokens[TOKENS];
	static int parent[TOKENS];
	static bool ended[TOKENS], cancelled[TOKENS];
	uint64_t random = 3;

	for (int i = 0; i < TOKENS; i++) {
		parent[i] = i ? (int)(next_random(&random) % (uint64_t)i) : -1;
		hw_cancel_init(&tokens[i], i ? &tokens[parent[i]] : NULL);
	}
	for (int step = 0; step < 300; step++) {
		int which = (int)(next_random(&random) % TOKENS);
		if (ended[which])
			continue;
		if (step % 2) {
			hw_cancel_deinit(&tokens[which]);
			ended[which] = true;
			for (int i = 0; i < TOKENS; i++)
				if (parent[i] == which)
					parent[i] = -1;
			continue;
		}
		if (step % 20)
			which = TOKENS - 1 - which / 20; // mostly leaves, or all is over soon
		if (ended[which])
			continue;
		hw_cancel_set(&tokens[which], "enough");
		cancelled[which] = true;
		for (int i = 0; i < TOKENS; i++) // parents come before children
			if (parent[i] >= 0 && cancelled[parent[i]])
				cancelled[i] = true;
		for (int i = 0; i < TOKENS; i++)
			if (!ended[i])
				assert_int_equal(hw_cancel_is_set(&tokens[i]), cancelled[i]);
		assert_true(hw_list_is_empty(&tokens[which].children));
	}
	struct hw_cancel root, late;
	hw_cancel_init(&root, NULL);
	hw_cancel_set(&root, "first");
	hw_cancel_set(&root, "second");
	hw_cancel_init(&late, &root);
	assert_string_equal(hw_cancel_reason(&late), "first");
	hw_cancel_deinit(&root);
	hw_cancel_deinit(&late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handles_notice_what_is_gone),
		cmocka_unit_test(weak_map_forgets_the_dead),
		cmocka_unit_test(map_walks_while_entries_go),
		cmocka_unit_test(map_finds_many_at_once),
		cmocka_unit_test(map_runs_out_of_memory),
		cmocka_unit_test(kv_updates_in_three_ways),
		cmocka_unit_test(keys_become_invalid_in_families),
		cmocka_unit_test(cancelling_reaches_all_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
