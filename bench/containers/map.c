// The hash map against khash (htslib's header), glib's, uthash and Abseil's flat_hash_map: 64-bit keys and values, at
// random; a million of them, then ten million.
#include "bench.h"

#include <glib.h>
#include <htslib/khash.h>
#include <malloc.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <uthash.h>

#include "heapwhy/map.h"

KHASH_MAP_INIT_INT64(u64, uint64_t)

struct ut_entry {
	uint64_t key, value;
	UT_hash_handle hh;
};

// absl_map.cc
void *absl_map_new(void);
void absl_map_free(void *map);
void absl_map_put(void *map, uint64_t key, uint64_t value);
uint64_t absl_map_sum(void *map, const uint64_t *keys, size_t count);
void absl_map_delete(void *map, uint64_t key);

static size_t count;
static uint64_t *keys, *shuffled, *absent;

static struct hw_map hw;

static void hw_new(void)
{
	hw_map_init(&hw);
}

static void hw_put(uint64_t key)
{
	hw_map_put(&hw, key, key + 1);
}

static bool hw_get(uint64_t key, uint64_t *value)
{
	return hw_map_get(&hw, key, value);
}

static void hw_delete(uint64_t key)
{
	hw_map_delete(&hw, key);
}

static void hw_free_all(void)
{
	hw_map_deinit(&hw);
}

static khash_t(u64) * kh;

static void kh_new(void)
{
	kh = kh_init(u64);
}

static void khash_put(uint64_t key)
{
	int absent_before;
	khint_t slot = kh_put(u64, kh, key, &absent_before);
	kh_value(kh, slot) = key + 1;
}

static bool khash_get(uint64_t key, uint64_t *value)
{
	khint_t slot = kh_get(u64, kh, key);
	if (slot == kh_end(kh))
		return false;
	*value = kh_value(kh, slot);
	return true;
}

static void khash_delete(uint64_t key)
{
	kh_del(u64, kh, kh_get(u64, kh, key));
}

static void kh_free_all(void)
{
	kh_destroy(u64, kh);
}

static GHashTable *glib;

static void glib_new(void)
{
	glib = g_hash_table_new(g_direct_hash, g_direct_equal);
}

static void glib_put(uint64_t key)
{
	g_hash_table_insert(glib, (gpointer)key, (gpointer)(key + 1));
}

static bool glib_get(uint64_t key, uint64_t *value)
{
	gpointer found = g_hash_table_lookup(glib, (gpointer)key);
	*value = (uint64_t)found;
	return found != NULL;
}

static void glib_delete(uint64_t key)
{
	g_hash_table_remove(glib, (gpointer)key);
}

static void glib_free_all(void)
{
	g_hash_table_destroy(glib);
}

static struct ut_entry *ut;

static void ut_new(void)
{
	ut = NULL;
}

static void ut_put(uint64_t key)
{
	struct ut_entry *entry = malloc(sizeof(*entry));
	entry->key = key;
	entry->value = key + 1;
	HASH_ADD(hh, ut, key, sizeof(key), entry);
}

static bool ut_get(uint64_t key, uint64_t *value)
{
	struct ut_entry *entry;
	HASH_FIND(hh, ut, &key, sizeof(key), entry);
	if (!entry)
		return false;
	*value = entry->value;
	return true;
}

static void ut_delete(uint64_t key)
{
	struct ut_entry *entry;
	HASH_FIND(hh, ut, &key, sizeof(key), entry);
	HASH_DEL(ut, entry);
	free(entry);
}

static void ut_free_all(void)
{
	struct ut_entry *entry, *next;
	HASH_ITER(hh, ut, entry, next)
	{
		HASH_DEL(ut, entry);
		free(entry);
	}
}

static void *absl;

static void absl_new(void)
{
	absl = absl_map_new();
}

static void absl_put(uint64_t key)
{
	absl_map_put(absl, key, key + 1);
}

static void absl_delete(uint64_t key)
{
	absl_map_delete(absl, key);
}

static void absl_free_all(void)
{
	absl_map_free(absl);
}

// Inlined for each map. Every lookup depends on nothing before it, as in a join, not in a chain.
#define SUM(name, GET)                                     \
	static uint64_t name##_sum(const uint64_t *sought) \
	{                                                  \
		uint64_t sum = 0;                          \
		for (size_t i = 0; i < count; i++) {       \
			uint64_t value;                    \
			if (GET(sought[i], &value))        \
				sum += value;              \
		}                                          \
		return sum;                                \
	}

SUM(hw, hw_get)
SUM(kh, khash_get)
SUM(glib, glib_get)
SUM(ut, ut_get)

static uint64_t absl_sum(const uint64_t *sought)
{
	return absl_map_sum(absl, sought, count);
}

#define RACES(name, PUT, DELETE)                                                                \
	static uint64_t name##_hit(void *context)                                               \
	{                                                                                       \
		bench_keep(name##_sum(shuffled));                                               \
		return count;                                                                   \
	}                                                                                       \
                                                                                                \
	static uint64_t name##_miss(void *context)                                              \
	{                                                                                       \
		bench_keep(name##_sum(absent));                                                 \
		return count;                                                                   \
	}                                                                                       \
                                                                                                \
	static uint64_t name##_insert(void *context)                                            \
	{                                                                                       \
		bench_pause();                                                                  \
		name##_free_all();                                                              \
		name##_new();                                                                   \
		bench_resume();                                                                 \
		for (size_t i = 0; i < count; i++)                                              \
			PUT(keys[i]);                                                           \
		return count;                                                                   \
	}                                                                                       \
                                                                                                \
	/* Nine of ten, in another order than they came. */                                     \
	static uint64_t name##_drain(void *context)                                             \
	{                                                                                       \
		for (size_t i = 0; i < count / 10 * 9; i++)                                     \
			DELETE(shuffled[i]);                                                    \
		bench_pause();                                                                  \
		name##_free_all();                                                              \
		name##_new();                                                                   \
		for (size_t i = 0; i < count; i++)                                              \
			PUT(keys[i]);                                                           \
		bench_resume();                                                                 \
		return count / 10 * 9;                                                          \
	}                                                                                       \
                                                                                                \
	static void name##_memory(const char *contestant, const char *row)                      \
	{                                                                                       \
		malloc_trim(0);                                                                 \
		uint64_t start = bench_resident();                                              \
		name##_new();                                                                   \
		for (size_t i = 0; i < count; i++)                                              \
			PUT(keys[i]);                                                           \
		for (size_t i = 0; i < count / 10 * 9; i++)                                     \
			DELETE(shuffled[i]);                                                    \
		malloc_trim(0);                                                                 \
		bench_value(row, contestant,                                                    \
			(double)(bench_resident() - start) / (double)(count - count / 10 * 9)); \
	}

RACES(hw, hw_put, hw_delete)
RACES(kh, khash_put, khash_delete)
RACES(glib, glib_put, glib_delete)
RACES(ut, ut_put, ut_delete)
RACES(absl, absl_put, absl_delete)

static void keys_make(void)
{
	uint64_t random = 88172645463325252;

	keys = malloc(count * sizeof(*keys));
	shuffled = malloc(count * sizeof(*keys));
	absent = malloc(count * sizeof(*keys));
	if (!keys || !shuffled || !absent)
		abort();
	for (size_t i = 0; i < count; i++) {
		keys[i] = shuffled[i] = bench_random(&random);
		absent[i] = bench_random(&random);
	}
	for (size_t i = count - 1; i; i--) {
		size_t k = bench_random(&random) % (i + 1);
		uint64_t key = shuffled[i];
		shuffled[i] = shuffled[k];
		shuffled[k] = key;
	}
}

static const struct {
	const char *name;
	void (*make)(void);
	uint64_t (*hit)(void *context), (*miss)(void *context), (*insert)(void *context),
		(*drain)(void *context);
	void (*memory)(const char *contestant, const char *row);
} maps[] = {
#define MAP(title, name)                                                                 \
	{                                                                                \
		title, name##_new, name##_hit, name##_miss, name##_insert, name##_drain, \
			name##_memory                                                    \
	}
	MAP("heapwhy", hw),
	MAP("khash", kh),
	MAP("glib", glib),
	MAP("uthash", ut),
	MAP("Abseil", absl),
};

enum { MAPS = sizeof(maps) / sizeof(maps[0]) };

static const char *row_name(const char *what)
{
	static char row[80];

	snprintf(row, sizeof(row), "hash map, %s: %s", count < 5000000 ? "1 million" : "10 million",
		what);
	return row;
}

static uint64_t hw_hit_many(void *context)
{
	uint64_t values[256], sum = 0;

	for (size_t i = 0; i + 256 <= count; i += 256) {
		hw_map_get_many(&hw, shuffled + i, 256, values, 0);
		for (size_t k = 0; k < 256; k++)
			sum += values[k];
	}
	bench_keep(sum);
	return count;
}

static void race_all(void)
{
	struct contestant racing[MAPS + 1] = {{NULL}};

	for (int m = 0; m < MAPS; m++) {
		fflush(stdout);
		pid_t child = fork();
		if (!child) {
			maps[m].memory(
				maps[m].name, row_name("bytes a live entry after 90 % deletes"));
			_exit(0);
		}
		waitpid(child, NULL, 0);
		racing[m].name = maps[m].name;
		maps[m].make();
	}
	bench_touch_bytes = count * 40;
#define RACE(what, title)                     \
	for (int m = 0; m < MAPS; m++)        \
		racing[m].run = maps[m].what; \
	bench_race(row_name(title), racing)
	RACE(insert, "insert");
	RACE(hit, "hit");
	racing[0].run = hw_hit_many;
	bench_race(row_name("hit, many at a time"), racing);
	RACE(miss, "miss");
	RACE(drain, "delete");
}

int main(void)
{
	count = 1000000;
	keys_make();
	race_all();
	if (!bench_quick()) {
		count = 10000000;
		keys_make();
		race_all();
	}
	return 0;
}
