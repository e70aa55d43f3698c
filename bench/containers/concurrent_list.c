// The concurrent list against arrays that are copied for each change (scanned item by item, and four at a time),
// liburcu's rculist, and a list under a reader-writer lock: 90 % reads, which walk everything or look for one item, and
// 10 % changes, which add an item or, where it is there, remove it. Half of the items that may be there are.
#include "threads.h"

#include <immintrin.h>
#include <stdbool.h>
#include <urcu/urcu-memb.h>
#include <urcu/rculist.h>

#include "heapwhy/concurrent_list.h"

struct array {
	struct hw_epoch_garbage garbage;
	size_t count;
	uint64_t items[];
};

struct node {
	struct cds_list_head list;
	struct rcu_head head;
	uint64_t item;
};

struct list {
	uint64_t items; // on average
	bool walk;      // or look for one
	uint64_t operations;
	void (*work)(void *list, int number, uint64_t operations);

	struct hw_epoch *epoch;
	struct hw_concurrent_list *ours;

	pthread_mutex_t writers;
	struct array *array;

	struct cds_list_head nodes, locked_nodes;
	pthread_rwlock_t lock;
};

#define MIX(WALK, LOOK, CHANGE)                                                              \
	uint64_t random = (uint64_t)number + 1, sum = 0;                                     \
	for (uint64_t i = 0; i < operations; i++) {                                          \
		uint64_t item = 1 + ((bench_random(&random) >> 32) * 2 * list->items >> 32); \
		if (i % 10 == 9) {                                                           \
			CHANGE;                                                              \
		} else if (list->walk) {                                                     \
			WALK;                                                                \
		} else {                                                                     \
			LOOK;                                                                \
		}                                                                            \
	}                                                                                    \
	bench_keep(sum)

static void ours_change(struct list *list, uint64_t item)
{
	if (hw_concurrent_list_add(list->ours, item) == HW_LIST_THERE)
		hw_concurrent_list_remove(list->ours, item);
}

// A thread of a list that is read in sections of an epoch; LOOK has to be in one, too.
#define EPOCH_WORK(name, WALK, LOOK, CHANGE)                                         \
	static void name(void *context, int number, uint64_t operations)             \
	{                                                                            \
		struct list *list = context;                                         \
		struct hw_epoch_reader *reader = hw_epoch_join(list->epoch, "race"); \
		MIX(                                                                 \
			{                                                            \
				hw_epoch_enter(reader);                              \
				WALK;                                                \
				hw_epoch_exit(reader);                               \
			},                                                           \
			LOOK, CHANGE(list, item));                                   \
		hw_epoch_leave(reader);                                              \
	}

#define OURS_WORK(name, WALK)                                                                \
	EPOCH_WORK(name, WALK, sum += hw_concurrent_list_contains(list->ours, reader, item), \
		ours_change)

// A segment at a time: its slots lie in a row, filled up with holes to a multiple of four, and a hole adds nothing.
static inline uint64_t slots_sum(const struct hw_concurrent_list *ours)
{
	struct hw_concurrent_list_cursor cursor = {NULL};
	uint64_t sums[4] = {0};

	while (hw_concurrent_list_more(ours, &cursor))
		for (size_t at = 0; at < cursor.count; at += 4)
			for (size_t lane = 0; lane < 4; lane++)
				sums[lane] += cursor.slots[at + lane];
	return sums[0] + sums[1] + sums[2] + sums[3];
}

static inline uint64_t items_sum(const struct hw_concurrent_list *ours)
{
	uint64_t sum = 0;

	hw_concurrent_list_each (ours, cursor, found)
		sum += found;
	return sum;
}

OURS_WORK(ours_work, sum += slots_sum(list->ours))
OURS_WORK(ours_each_work, sum += items_sum(list->ours))

static void array_release(struct hw_epoch_garbage *garbage)
{
	free(garbage);
}

static void array_change(struct list *list, uint64_t item)
{
	pthread_mutex_lock(&list->writers);
	struct array *old = list->array;
	struct array *array = malloc(sizeof(*array) + (old->count + 1) * sizeof(uint64_t));
	size_t at = 0;
	while (at < old->count && old->items[at] != item)
		at++;
	array->garbage = (struct hw_epoch_garbage){NULL, array_release, sizeof(*old)};
	memcpy(array->items, old->items, at * sizeof(uint64_t));
	if (at < old->count) {
		memcpy(array->items + at, old->items + at + 1,
			(old->count - at - 1) * sizeof(uint64_t));
		array->count = old->count - 1;
	} else {
		array->items[at] = item;
		array->count = old->count + 1;
	}
	__atomic_store_n(&list->array, array, __ATOMIC_RELEASE);
	hw_epoch_retire(list->epoch, &old->garbage);
	pthread_mutex_unlock(&list->writers);
}

static bool plain_have(const struct array *array, uint64_t item)
{
	for (size_t at = 0; at < array->count; at++)
		if (array->items[at] == item)
			return true;
	return false;
}

// Not vectorised: what a loop over pointers to nodes, or with a test for each item, would cost.
__attribute__((optimize("no-tree-vectorize"))) static uint64_t plain_sum(const struct array *array)
{
	uint64_t sum = 0;

	for (size_t at = 0; at < array->count; at++)
		sum += array->items[at];
	return sum;
}

__attribute__((target("avx2"))) static bool wide_have(const struct array *array, uint64_t item)
{
	__m256i wanted = _mm256_set1_epi64x((long long)item);
	size_t at = 0;

	for (; at + 8 <= array->count; at += 8) {
		__m256i low = _mm256_loadu_si256((const __m256i *)&array->items[at]);
		__m256i high = _mm256_loadu_si256((const __m256i *)&array->items[at + 4]);
		__m256i equal = _mm256_or_si256(
			_mm256_cmpeq_epi64(low, wanted), _mm256_cmpeq_epi64(high, wanted));
		if (!_mm256_testz_si256(equal, equal))
			return true;
	}
	for (; at < array->count; at++)
		if (array->items[at] == item)
			return true;
	return false;
}

__attribute__((target("avx2"))) static uint64_t wide_sum(const struct array *array)
{
	__m256i sums = _mm256_setzero_si256();
	uint64_t parts[4], sum = 0;
	size_t at = 0;

	for (; at + 4 <= array->count; at += 4)
		sums = _mm256_add_epi64(
			sums, _mm256_loadu_si256((const __m256i *)&array->items[at]));
	_mm256_storeu_si256((__m256i *)parts, sums);
	for (; at < array->count; at++)
		sum += array->items[at];
	return sum + parts[0] + parts[1] + parts[2] + parts[3];
}

static inline const struct array *array_now(const struct list *list)
{
	return __atomic_load_n(&list->array, __ATOMIC_ACQUIRE);
}

#define ARRAY_WORK(name)                                           \
	EPOCH_WORK(                                                \
		name##_work, sum += name##_sum(array_now(list)),   \
		{                                                  \
			hw_epoch_enter(reader);                    \
			sum += name##_have(array_now(list), item); \
			hw_epoch_exit(reader);                     \
		},                                                 \
		array_change)
ARRAY_WORK(plain)
ARRAY_WORK(wide)

static struct node *node_create(uint64_t item)
{
	struct node *node = malloc(sizeof(*node));

	node->item = item;
	return node;
}

static void node_free(struct rcu_head *head)
{
	free((char *)head - offsetof(struct node, head));
}

static struct node *nodes_find(struct cds_list_head *nodes, uint64_t item)
{
	struct node *node;

	cds_list_for_each_entry_rcu(node, nodes, list) if (node->item == item) return node;
	return NULL;
}

static uint64_t nodes_sum(struct cds_list_head *nodes)
{
	struct node *node;
	uint64_t sum = 0;

	cds_list_for_each_entry_rcu(node, nodes, list) sum += node->item;
	return sum;
}

static void rcu_change(struct list *list, uint64_t item)
{
	pthread_mutex_lock(&list->writers);
	struct node *node = nodes_find(&list->nodes, item);
	if (node) {
		cds_list_del_rcu(&node->list);
		urcu_memb_call_rcu(&node->head, node_free);
	} else {
		cds_list_add_rcu(&node_create(item)->list, &list->nodes);
	}
	pthread_mutex_unlock(&list->writers);
}

static void rcu_work(void *context, int number, uint64_t operations)
{
	struct list *list = context;

	urcu_memb_register_thread();
	MIX(
		{
			urcu_memb_read_lock();
			sum += nodes_sum(&list->nodes);
			urcu_memb_read_unlock();
		},
		{
			urcu_memb_read_lock();
			sum += nodes_find(&list->nodes, item) != NULL;
			urcu_memb_read_unlock();
		},
		rcu_change(list, item));
	urcu_memb_unregister_thread();
}

static void lock_change(struct list *list, uint64_t item)
{
	pthread_rwlock_wrlock(&list->lock);
	struct node *node = nodes_find(&list->locked_nodes, item);
	if (node) {
		cds_list_del(&node->list);
		free(node);
	} else {
		cds_list_add(&node_create(item)->list, &list->locked_nodes);
	}
	pthread_rwlock_unlock(&list->lock);
}

static void lock_work(void *context, int number, uint64_t operations)
{
	struct list *list = context;

	MIX(
		{
			pthread_rwlock_rdlock(&list->lock);
			sum += nodes_sum(&list->locked_nodes);
			pthread_rwlock_unlock(&list->lock);
		},
		{
			pthread_rwlock_rdlock(&list->lock);
			sum += nodes_find(&list->locked_nodes, item) != NULL;
			pthread_rwlock_unlock(&list->lock);
		},
		lock_change(list, item));
}

static const struct {
	const char *name;
	void (*work)(void *list, int number, uint64_t operations);
	void (*change)(struct list *list, uint64_t item);
} peers[] = {
	{"heapwhy", ours_work, ours_change},
	{"heapwhy, item by item", ours_each_work, ours_change},
	{"copied array", plain_work, array_change},
	{"copied array, AVX2 scan", wide_work, array_change},
	{"rculist", rcu_work, rcu_change},
	{"rwlock list", lock_work, lock_change},
};

enum { PEERS = sizeof(peers) / sizeof(peers[0]), THREADS = 2 };

static uint64_t race(void *context)
{
	struct list *list = context;

	return bench_threads(THREADS, list->operations, list->work, list);
}

static void race_lists(uint64_t items, bool walk)
{
	struct list list = {.items = items, .walk = walk};
	struct list lists[PEERS];
	struct contestant contestants[PEERS + 1] = {{NULL}};
	char row[80];

	list.operations = (walk ? 100000000 / (items + 100) : 500000) / (bench_quick() ? 10 : 1);
	list.operations = list.operations > 500000 ? 500000 : list.operations;
	list.epoch = hw_epoch_create(0, NULL);
	list.ours = hw_concurrent_list_create(list.epoch, NULL);
	for (int i = 0; i < PEERS; i++) {
		lists[i] = list;
		lists[i].work = peers[i].work;
		CDS_INIT_LIST_HEAD(&lists[i].nodes);
		CDS_INIT_LIST_HEAD(&lists[i].locked_nodes);
		pthread_mutex_init(&lists[i].writers, NULL);
		pthread_rwlock_init(&lists[i].lock, NULL);
		lists[i].array = calloc(1, sizeof(struct array));
		lists[i].array->garbage.release = array_release;
		for (uint64_t item = 2; item <= 2 * items; item += 2)
			peers[i].change(&lists[i], item);
		contestants[i] = (struct contestant){peers[i].name, race, &lists[i], THREADS};
	}
	snprintf(row, sizeof(row), "concurrent list: %d items, %s", (int)items,
		walk ? "full walk" : "one item");
	bench_race(row, contestants);
}

int main(void)
{
	urcu_memb_register_thread();
	for (int walk = 1; walk >= 0; walk--) {
		race_lists(1000, walk);
		race_lists(64, walk);
	}
	return 0;
}
