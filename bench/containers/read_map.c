// The read-mostly map against a reader-writer lock over khash, liburcu's rculfhash, and Concurrency Kit's ck_ht with
// ck_epoch: 99 % lookups of keys that are there, 1 % deletions and insertions in turn.
#include "threads.h"

#include <ck_epoch.h>
#include <ck_ht.h>
#include <htslib/khash.h>
#include <urcu/urcu-memb.h>
#include <urcu/rculfhash.h>

#include "heapwhy/read_map.h"

enum { OPERATIONS = 1000000 };

static uint64_t key_of(uint64_t number)
{
	return (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

// The same sequence for every contestant. GET, PUT and DELETE are its calls, with `key` in scope.
#define MIX(GET, PUT, DELETE)                                                       \
	uint64_t random = (uint64_t)number + 1, sum = 0;                            \
	for (uint64_t i = 0; i < operations; i++) {                                 \
		uint64_t key = key_of((bench_random(&random) >> 32) * count >> 32); \
		if (i % 100 != 99) {                                                \
			GET;                                                        \
		} else if (i % 200 == 99) {                                         \
			DELETE;                                                     \
		} else {                                                            \
			PUT;                                                        \
		}                                                                   \
	}                                                                           \
	bench_keep(sum)

struct map {
	uint64_t count;
	int threads;
	void (*work)(void *map, int number, uint64_t operations);

	struct hw_epoch *epoch;
	struct hw_read_map *ours;

	pthread_rwlock_t lock;
	void *khash;

	pthread_mutex_t writers;
	struct cds_lfht *lfht;
	ck_ht_t ck;
};

static void ours_work(void *context, int number, uint64_t operations)
{
	struct map *map = context;
	struct hw_epoch_reader *reader = hw_epoch_join(map->epoch, "race");
	uint64_t count = map->count, value;

	MIX(sum += hw_read_map_get(map->ours, reader, key, &value),
		hw_read_map_put(map->ours, key, i), hw_read_map_delete(map->ours, key, NULL));
	hw_epoch_leave(reader);
}

KHASH_MAP_INIT_INT64(map, uint64_t)

static void khash_put(khash_t(map) * hash, uint64_t key, uint64_t value)
{
	int absent;

	khiter_t at = kh_put(map, hash, key, &absent);
	kh_value(hash, at) = value;
}

static void khash_work(void *context, int number, uint64_t operations)
{
	struct map *map = context;
	khash_t(map) *hash = map->khash;
	uint64_t count = map->count;

	MIX(
		{
			pthread_rwlock_rdlock(&map->lock);
			khiter_t at = kh_get(map, hash, key);
			sum += at != kh_end(hash) ? kh_value(hash, at) : 0;
			pthread_rwlock_unlock(&map->lock);
		},
		{
			pthread_rwlock_wrlock(&map->lock);
			khash_put(hash, key, i);
			pthread_rwlock_unlock(&map->lock);
		},
		{
			pthread_rwlock_wrlock(&map->lock);
			khiter_t at = kh_get(map, hash, key);
			if (at != kh_end(hash))
				kh_del(map, hash, at);
			pthread_rwlock_unlock(&map->lock);
		});
}

struct lfht_entry {
	struct cds_lfht_node node;
	struct rcu_head head;
	uint64_t key, value;
};

static int lfht_match(struct cds_lfht_node *node, const void *key)
{
	return ((struct lfht_entry *)node)->key == *(const uint64_t *)key;
}

static void lfht_free(struct rcu_head *head)
{
	free((char *)head - offsetof(struct lfht_entry, head));
}

static unsigned long lfht_hash(uint64_t key)
{
	return key ^ key >> 32;
}

static void lfht_put(struct cds_lfht *lfht, uint64_t key, uint64_t value)
{
	struct lfht_entry *entry = malloc(sizeof(*entry));

	cds_lfht_node_init(&entry->node);
	entry->key = key;
	entry->value = value;
	urcu_memb_read_lock();
	struct cds_lfht_node *old =
		cds_lfht_add_replace(lfht, lfht_hash(key), lfht_match, &key, &entry->node);
	if (old)
		urcu_memb_call_rcu(&((struct lfht_entry *)old)->head, lfht_free);
	urcu_memb_read_unlock();
}

static void lfht_work(void *context, int number, uint64_t operations)
{
	struct map *map = context;
	struct cds_lfht_iter iter;
	uint64_t count = map->count;

	urcu_memb_register_thread();
	MIX(
		{
			urcu_memb_read_lock();
			cds_lfht_lookup(map->lfht, lfht_hash(key), lfht_match, &key, &iter);
			struct lfht_entry *entry =
				(struct lfht_entry *)cds_lfht_iter_get_node(&iter);
			sum += entry ? entry->value : 0;
			urcu_memb_read_unlock();
		},
		lfht_put(map->lfht, key, i),
		{
			urcu_memb_read_lock();
			cds_lfht_lookup(map->lfht, lfht_hash(key), lfht_match, &key, &iter);
			struct lfht_entry *entry =
				(struct lfht_entry *)cds_lfht_iter_get_node(&iter);
			if (entry && !cds_lfht_del(map->lfht, &entry->node))
				urcu_memb_call_rcu(&entry->head, lfht_free);
			urcu_memb_read_unlock();
		});
	urcu_memb_unregister_thread();
}

// Tables that ck_ht outgrows are kept: there are few, and the race is about lookups.
static void *ck_alloc(size_t bytes)
{
	return malloc(bytes);
}

static void ck_drop(void *memory, size_t bytes, bool defer)
{
	if (!defer)
		free(memory);
}

static struct ck_malloc ck_allocator = {.malloc = ck_alloc, .free = ck_drop};
static ck_epoch_t ck_domain;

static bool ck_get(ck_ht_t *ht, uint64_t key, uint64_t *value)
{
	ck_ht_entry_t entry;
	ck_ht_hash_t hash;

	ck_ht_hash_direct(&hash, ht, key);
	ck_ht_entry_key_set_direct(&entry, key);
	bool found = ck_ht_get_spmc(ht, hash, &entry);
	*value = found ? ck_ht_entry_value_direct(&entry) : 0;
	return found;
}

static void ck_put(ck_ht_t *ht, uint64_t key, uint64_t value)
{
	ck_ht_entry_t entry;
	ck_ht_hash_t hash;

	ck_ht_hash_direct(&hash, ht, key);
	ck_ht_entry_set_direct(&entry, hash, key, value);
	ck_ht_set_spmc(ht, hash, &entry);
}

static void ck_work(void *context, int number, uint64_t operations)
{
	static ck_epoch_record_t records[64];
	static int used;
	struct map *map = context;
	ck_epoch_record_t *record = &records[__atomic_fetch_add(&used, 1, __ATOMIC_RELAXED) % 64];
	uint64_t count = map->count, value;

	ck_epoch_register(&ck_domain, record, NULL);
	MIX(
		{
			ck_epoch_begin(record, NULL);
			sum += ck_get(&map->ck, key, &value);
			ck_epoch_end(record, NULL);
		},
		{
			pthread_mutex_lock(&map->writers);
			ck_put(&map->ck, key, i + 1);
			pthread_mutex_unlock(&map->writers);
		},
		{
			ck_ht_entry_t entry;
			ck_ht_hash_t hash;
			pthread_mutex_lock(&map->writers);
			ck_ht_hash_direct(&hash, &map->ck, key);
			ck_ht_entry_key_set_direct(&entry, key);
			ck_ht_remove_spmc(&map->ck, hash, &entry);
			pthread_mutex_unlock(&map->writers);
		});
	ck_epoch_unregister(record);
}

static uint64_t race(void *context)
{
	struct map *map = context;
	uint64_t operations = OPERATIONS / (bench_quick() ? 10 : 1);

	// The others have pushed this one out of the caches.
	bench_pause();
	bench_threads(map->threads, operations / 2, map->work, map);
	bench_resume();
	return bench_threads(map->threads, operations, map->work, map);
}

static void race_maps(uint64_t count, int threads)
{
	struct map map = {.count = count,
		.threads = threads,
		.epoch = hw_epoch_create(0, NULL),
		.khash = kh_init(map)};
	struct map contestants[4];
	char row[80];

	pthread_rwlock_init(&map.lock, NULL);
	pthread_mutex_init(&map.writers, NULL);
	map.ours = hw_read_map_create(map.epoch, NULL);
	map.lfht = cds_lfht_new_flavor(
		count, 1, 0, CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING, &urcu_memb_flavor, NULL);
	ck_ht_init(
		&map.ck, CK_HT_MODE_DIRECT | CK_HT_WORKLOAD_DELETE, NULL, &ck_allocator, count, 1);
	for (uint64_t i = 0; i < count; i++) {
		hw_read_map_put(map.ours, key_of(i), i);
		khash_put(map.khash, key_of(i), i);
		lfht_put(map.lfht, key_of(i), i);
		ck_put(&map.ck, key_of(i), i + 1);
	}
	contestants[0] = contestants[1] = contestants[2] = contestants[3] = map;
	contestants[0].work = ours_work;
	contestants[1].work = khash_work;
	contestants[2].work = lfht_work;
	contestants[3].work = ck_work;
	snprintf(row, sizeof(row), "read-mostly map: %d keys, %d thread%s", (int)count, threads,
		threads > 1 ? "s" : "");
	bench_race(row, (struct contestant[]){
				{"heapwhy", race, &contestants[0], threads},
				{"rwlock and khash", race, &contestants[1], threads},
				{"rculfhash", race, &contestants[2], threads},
				{"ck_ht and ck_epoch", race, &contestants[3], threads},
				{NULL},
			});
}

int main(void)
{
	urcu_memb_register_thread();
	ck_epoch_init(&ck_domain);
	for (int threads = 1; threads <= 2; threads++) {
		race_maps(4 << 10, threads);
		race_maps(128 << 10, threads);
	}
	return 0;
}
