// The sharded map against one map behind one lock: half of the operations write. How does it grow with the threads?
#include "bench.h"
#include "threads.h"

#include <htslib/khash.h>
#include <stdbool.h>

#include "heapwhy/map.h"
#include "heapwhy/sharded_map.h"

enum { KEYS = 1 << 16, OPERATIONS = 1000000, THREADS_MOST = 4 };

KHASH_MAP_INIT_INT64(numbers, uint64_t)

static struct hw_sharded_map *sharded;
static struct hw_map single;
static khash_t(numbers) * other;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;

#define WORK(name, GET, PUT)                                                          \
	static void name##_work(void *context, int number, uint64_t operations)       \
	{                                                                             \
		uint64_t random = (uint64_t)number + 1, value = 0;                    \
		for (uint64_t i = 0; i < operations; i++) {                           \
			uint64_t chance = bench_random(&random), key = chance % KEYS; \
			if (chance >> 63) {                                           \
				PUT;                                                  \
			} else {                                                      \
				GET;                                                  \
			}                                                             \
			bench_keep(value);                                            \
		}                                                                     \
	}                                                                             \
                                                                                      \
	static uint64_t name##_race(void *context)                                    \
	{                                                                             \
		return bench_threads(*(int *)context, OPERATIONS, name##_work, NULL); \
	}

static void single_get(uint64_t key, uint64_t *value)
{
	pthread_mutex_lock(&mutex);
	hw_map_get(&single, key, value);
	pthread_mutex_unlock(&mutex);
}

static void single_put(uint64_t key, uint64_t value)
{
	pthread_mutex_lock(&mutex);
	hw_map_put(&single, key, value);
	pthread_mutex_unlock(&mutex);
}

static void khash_get(uint64_t key, uint64_t *value)
{
	pthread_rwlock_rdlock(&rwlock);
	khint_t at = kh_get(numbers, other, key);
	if (at != kh_end(other))
		*value = kh_val(other, at);
	pthread_rwlock_unlock(&rwlock);
}

static void khash_put(uint64_t key, uint64_t value)
{
	int added;

	pthread_rwlock_wrlock(&rwlock);
	khint_t at = kh_put(numbers, other, key, &added);
	kh_val(other, at) = value;
	pthread_rwlock_unlock(&rwlock);
}

WORK(sharded, hw_sharded_map_get(sharded, key, &value), hw_sharded_map_put(sharded, key, i))
WORK(single, single_get(key, &value), single_put(key, i))
WORK(khash, khash_get(key, &value), khash_put(key, i))

int main(void)
{
	sharded = hw_sharded_map_create(0, NULL);
	hw_map_init(&single);
	other = kh_init(numbers);
	for (uint64_t key = 0; key < KEYS; key++) {
		hw_sharded_map_put(sharded, key, key);
		hw_map_put(&single, key, key);
		khash_put(key, key);
	}
	for (int threads = 1; threads <= THREADS_MOST; threads *= 2) {
		char row[80];
		snprintf(row, sizeof(row), "sharded map: half writes, %d thread%s", threads,
			threads > 1 ? "s" : "");
		bench_race(row, (struct contestant[]){
					{"heapwhy", sharded_race, &threads, threads},
					{"the same map, one mutex", single_race, &threads, threads},
					{"khash, one rwlock", khash_race, &threads, threads},
					{NULL},
				});
	}
	hw_sharded_map_destroy(sharded);
	hw_map_deinit(&single);
	kh_destroy(numbers, other);
	return 0;
}
