// The node pool against glibc's malloc and mimalloc: nodes of 32 bytes.
#include "bench.h"

#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/wait.h>

#include "heapwhy/pool.h"
#include "mimalloc.h"

enum { NODE_BYTES = 32, PAIRS = 20000000, NODES = 1000000, CHURNS = 5000000, BURSTS = 20000 };

struct node {
	uint64_t words[NODE_BYTES / 8];
};

// The calls are written out for each allocator, so that each is inlined as it would be in a program.
#define RACES(name, ALLOC, FREE)                                                             \
	static uint64_t name##_pair(void *context)                                           \
	{                                                                                    \
		struct node *node = ALLOC;                                                   \
		for (int i = 0; i < PAIRS; i++) {                                            \
			FREE(node);                                                          \
			node = ALLOC;                                                        \
			bench_keep(node);                                                    \
		}                                                                            \
		FREE(node);                                                                  \
		return PAIRS;                                                                \
	}                                                                                    \
                                                                                             \
	static uint64_t name##_churn(void *context)                                          \
	{                                                                                    \
		static struct node *nodes[NODES];                                            \
		uint64_t random = 1;                                                         \
		bench_pause();                                                               \
		for (int i = 0; i < NODES; i++) {                                            \
			nodes[i] = ALLOC;                                                    \
			nodes[i]->words[0] = (uint64_t)i;                                    \
		}                                                                            \
		bench_resume();                                                              \
		for (int i = 0; i < CHURNS; i++) {                                           \
			struct node **place = &nodes[bench_random(&random) % NODES];         \
			FREE(*place);                                                        \
			*place = ALLOC;                                                      \
			(*place)->words[0] = (uint64_t)i;                                    \
		}                                                                            \
		bench_pause();                                                               \
		for (int i = 0; i < NODES; i++)                                              \
			FREE(nodes[i]);                                                      \
		bench_resume();                                                              \
		return CHURNS;                                                               \
	}                                                                                    \
                                                                                             \
	/* Up to 500 nodes freed anywhere, then as many allocated. */                        \
	static uint64_t name##_bursts(void *context)                                         \
	{                                                                                    \
		static struct node *nodes[NODES], **places[500];                             \
		uint64_t random = 1, operations = 0;                                         \
		bench_pause();                                                               \
		for (int i = 0; i < NODES; i++) {                                            \
			nodes[i] = ALLOC;                                                    \
			nodes[i]->words[0] = (uint64_t)i;                                    \
		}                                                                            \
		bench_resume();                                                              \
		for (int i = 0; i < BURSTS; i++) {                                           \
			int count = 0, size = (int)(bench_random(&random) % 500);            \
			for (int k = 0; k < size; k++) {                                     \
				struct node **place = &nodes[bench_random(&random) % NODES]; \
				if (!*place)                                                 \
					continue;                                            \
				FREE(*place);                                                \
				*place = NULL;                                               \
				places[count++] = place;                                     \
			}                                                                    \
			for (int k = 0; k < count; k++) {                                    \
				*places[k] = ALLOC;                                          \
				(*places[k])->words[0] = (uint64_t)k;                        \
			}                                                                    \
			operations += (uint64_t)count;                                       \
		}                                                                            \
		bench_pause();                                                               \
		for (int i = 0; i < NODES; i++)                                              \
			FREE(nodes[i]);                                                      \
		bench_resume();                                                              \
		return operations;                                                           \
	}                                                                                    \
                                                                                             \
	static uint64_t name##_bulk(void *context)                                           \
	{                                                                                    \
		static struct node *nodes[NODES / 10];                                       \
		for (int round = 0; round < 20; round++) {                                   \
			for (int i = 0; i < NODES / 10; i++) {                               \
				nodes[i] = ALLOC;                                            \
				nodes[i]->words[0] = (uint64_t)i;                            \
			}                                                                    \
			for (int i = 0; i < NODES / 10; i++)                                 \
				FREE(nodes[i]);                                              \
		}                                                                            \
		return 2 * NODES;                                                            \
	}

static struct hw_pool pool;

static void (*mi_collect)(bool force);

#define POOL_FREE(node) hw_pool_free(&pool, node)
RACES(pool, hw_pool_alloc(&pool), POOL_FREE)
RACES(glibc, malloc(NODE_BYTES), free)
RACES(mimalloc, mi_malloc(NODE_BYTES), mi_free)

static struct node *nodes_held[NODES];

static void move_node(void *context, void *from, void *to)
{
	nodes_held[((struct node *)to)->words[0]] = to;
}

static void compact_nothing(void)
{
}

static void pool_compact(void)
{
	hw_pool_compact(&pool, move_node, NULL);
}

static void glibc_trim(void)
{
	malloc_trim(0);
}

static void mimalloc_trim(void)
{
	mi_collect(true);
}

static void pool_trim(void)
{
	hw_pool_trim(&pool);
}

static void *pool_take(size_t bytes)
{
	return hw_pool_alloc(&pool);
}

static void pool_give(void *node)
{
	hw_pool_free(&pool, node);
}

struct keeper {
	const char *name;
	void *(*alloc)(size_t bytes);
	void (*free)(void *node);
	void (*trim)(void);
	void (*compact)(void); // what may move nodes
};

static void keeper_free_some(const struct keeper *keeper, uint64_t percent, uint64_t *live)
{
	static uint64_t random = 7;

	for (int i = 0; i < NODES; i++)
		if (nodes_held[i] && bench_random(&random) % 100 < percent) {
			keeper->free(nodes_held[i]);
			nodes_held[i] = NULL;
			--*live;
		}
}

static void keeper_fill_some(const struct keeper *keeper, int count)
{
	for (int i = 0; i < count; i++) {
		nodes_held[i] = keeper->alloc(NODE_BYTES);
		memset(nodes_held[i], 1, NODE_BYTES);
		nodes_held[i]->words[0] = (uint64_t)i;
	}
}

// A million nodes. Returns how large the process was before, code and tables in memory already.
static uint64_t keeper_fill(const struct keeper *keeper)
{
	memset(nodes_held, 1, sizeof(nodes_held));
	keeper_fill_some(keeper, 100);
	for (int i = 0; i < 100; i++)
		keeper->free(nodes_held[i]);
	keeper->trim();
	uint64_t start = bench_resident();
	start = bench_resident();
	keeper_fill_some(keeper, NODES);
	return start;
}

// Held is what the process is larger by than at the start. In a process of its own.
static void keeper_measure(const struct keeper *keeper)
{
	uint64_t live = NODES, start = keeper_fill(keeper);

#define HELD() ((double)(bench_resident() - start))
	keeper_free_some(keeper, 50, &live);
	keeper->compact();
	bench_value("node pool: held / live after 50 % random frees", keeper->name,
		HELD() / (double)(live * NODE_BYTES));
	keeper_free_some(keeper, 90, &live);
	keeper->trim();
	keeper->compact();
	bench_value("node pool: held / live after 95 % random frees and trim", keeper->name,
		HELD() / (double)(live * NODE_BYTES));
	keeper_free_some(keeper, 100, &live);
	keeper->trim();
	uint64_t end = bench_resident();
	bench_value("node pool: bytes held when all is freed", keeper->name,
		end > start ? (double)(end - start) : 0);
}

// A million nodes; half are freed anywhere; then nodes come and go, half a million live, until each was replaced a
// dozen times: where are they now?
static void keeper_churn(const struct keeper *keeper)
{
	uint64_t random = 3, live = NODES, start = keeper_fill(keeper);

	keeper_free_some(keeper, 50, &live);
	for (uint64_t i = 0; i < 12 * NODES / 2 / 500; i++) {
		int places[500], count = 0;
		while (count < 500) {
			int place = (int)(bench_random(&random) % NODES);
			if (!nodes_held[place])
				continue;
			keeper->free(nodes_held[place]);
			nodes_held[place] = NULL;
			places[count++] = place;
		}
		for (int k = 0; k < count; k++) {
			nodes_held[places[k]] = keeper->alloc(NODE_BYTES);
			memset(nodes_held[places[k]], 1, NODE_BYTES);
		}
	}
	keeper->trim();
	bench_value("node pool: held / live after 50 % random frees and churn", keeper->name,
		HELD() / (double)(live * NODE_BYTES));
}

static void in_child(void (*measure)(const struct keeper *), const struct keeper *keeper)
{
	fflush(stdout);
	pid_t child = fork();

	if (!child) {
		measure(keeper);
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

int main(void)
{
	mimalloc_load();
	mi_collect = (void (*)(bool))mimalloc_symbol("mi_collect");
	hw_pool_init(&pool, NODE_BYTES, NULL);
	// The first one moves nodes together (hw_pool_compact) before it is measured, which malloc's users cannot.
	const struct keeper keepers[] = {
		{"heapwhy", pool_take, pool_give, pool_trim, pool_compact},
		{"heapwhy, nothing moved", pool_take, pool_give, pool_trim, compact_nothing},
		{"glibc", malloc, free, glibc_trim, compact_nothing},
		{"mimalloc", mi_malloc, mi_free, mimalloc_trim, compact_nothing},
	};
	for (size_t i = 0; i < sizeof(keepers) / sizeof(keepers[0]); i++) {
		in_child(keeper_measure, &keepers[i]);
		if (i > 0)
			in_child(keeper_churn, &keepers[i]);
	}
	bench_race("node pool: hot pair",
		(struct contestant[]){{"heapwhy", pool_pair}, {"glibc", glibc_pair},
			{"mimalloc", mimalloc_pair}, {NULL}});
	bench_race("node pool: random churn",
		(struct contestant[]){{"heapwhy", pool_churn}, {"glibc", glibc_churn},
			{"mimalloc", mimalloc_churn}, {NULL}});
	bench_race("node pool: random bursts of up to 500 frees, then as many allocations",
		(struct contestant[]){{"heapwhy", pool_bursts}, {"glibc", glibc_bursts},
			{"mimalloc", mimalloc_bursts}, {NULL}});
	bench_race("node pool: 100,000 allocated, then freed",
		(struct contestant[]){{"heapwhy", pool_bulk}, {"glibc", glibc_bulk},
			{"mimalloc", mimalloc_bulk}, {NULL}});
	hw_pool_deinit(&pool);
	return 0;
}
