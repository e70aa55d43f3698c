// The pooled list against boxed lists, as most programs write them: a node and a value, both from the heap. And what
// 100,000 values take in each kind of list: allocations, and bytes held.
#include "bench.h"

#include "account.h"
#include "heapwhy/boxed_list.h"
#include "heapwhy/pooled_list.h"
#include "mimalloc.h"

enum { BULK = 100000, BULK_ROUNDS = 10, STEADY = 64, STEADY_STEPS = 2000000 };

struct boxed {
	struct boxed *next, *previous;
	uint64_t *value;
};

static struct hw_pooled_list list;

static uint64_t pooled_bulk(void *context)
{
	uint64_t sum = 0, value = 0;

	for (int round = 0; round < BULK_ROUNDS; round++) {
		for (uint64_t i = 0; i < BULK; i++)
			*(uint64_t *)hw_pooled_list_push_back(&list) = i;
		while (hw_pooled_list_pop_front(&list, &value))
			sum += value;
	}
	bench_keep(sum);
	return BULK * BULK_ROUNDS;
}

static uint64_t pooled_steady(void *context)
{
	uint64_t sum = 0, value = 0;

	for (uint64_t i = 0; i < STEADY; i++)
		*(uint64_t *)hw_pooled_list_push_back(&list) = i;
	for (uint64_t i = 0; i < STEADY_STEPS; i++) {
		*(uint64_t *)hw_pooled_list_push_back(&list) = i;
		hw_pooled_list_pop_front(&list, &value);
		sum += value;
	}
	while (hw_pooled_list_pop_front(&list, &value))
		sum += value;
	bench_keep(sum);
	return STEADY_STEPS;
}

#define BOXED(name, ALLOC, FREE)                                     \
	static void name##_push(struct boxed *ends, uint64_t number) \
	{                                                            \
		struct boxed *node = ALLOC(sizeof(*node));           \
		node->value = ALLOC(sizeof(*node->value));           \
		*node->value = number;                               \
		node->next = ends;                                   \
		node->previous = ends->previous;                     \
		ends->previous->next = node;                         \
		ends->previous = node;                               \
	}                                                            \
                                                                     \
	static uint64_t name##_pop(struct boxed *ends)               \
	{                                                            \
		struct boxed *node = ends->next;                     \
		uint64_t value = *node->value;                       \
		ends->next = node->next;                             \
		node->next->previous = ends;                         \
		FREE(node->value);                                   \
		FREE(node);                                          \
		return value;                                        \
	}                                                            \
                                                                     \
	static uint64_t name##_bulk(void *context)                   \
	{                                                            \
		struct boxed ends = {&ends, &ends, NULL};            \
		uint64_t sum = 0;                                    \
		for (int round = 0; round < BULK_ROUNDS; round++) {  \
			for (uint64_t i = 0; i < BULK; i++)          \
				name##_push(&ends, i);               \
			while (ends.next != &ends)                   \
				sum += name##_pop(&ends);            \
		}                                                    \
		bench_keep(sum);                                     \
		return BULK * BULK_ROUNDS;                           \
	}                                                            \
                                                                     \
	static uint64_t name##_steady(void *context)                 \
	{                                                            \
		struct boxed ends = {&ends, &ends, NULL};            \
		uint64_t sum = 0;                                    \
		for (uint64_t i = 0; i < STEADY; i++)                \
			name##_push(&ends, i);                       \
		for (uint64_t i = 0; i < STEADY_STEPS; i++) {        \
			name##_push(&ends, i);                       \
			sum += name##_pop(&ends);                    \
		}                                                    \
		while (ends.next != &ends)                           \
			sum += name##_pop(&ends);                    \
		bench_keep(sum);                                     \
		return STEADY_STEPS;                                 \
	}

BOXED(glibc, malloc, free)
BOXED(mimalloc, mi_malloc, mi_free)

struct linked {
	struct hw_link link;
	uint64_t value;
};

static void costs_print(const char *who)
{
	bench_value("lists of 100,000 values: allocations", who, (double)account.allocations);
	bench_value("lists of 100,000 values: bytes held", who, (double)account.held);
}

static void costs_measure(void)
{
	struct hw_pooled_list pooled;
	struct hw_boxed_list boxed;
	struct hw_list links;
	struct hw_pool pool;
	struct linked *linked;

	account_start();
	hw_pooled_list_init(&pooled, sizeof(uint64_t), &account.allocator);
	for (uint64_t i = 0; i < BULK; i++)
		*(uint64_t *)hw_pooled_list_push_back(&pooled) = i;
	costs_print("heapwhy");
	hw_pooled_list_deinit(&pooled);

	account_start();
	hw_pool_init(&pool, sizeof(struct linked), &account.allocator);
	hw_list_init(&links);
	for (uint64_t i = 0; i < BULK; i++) {
		linked = hw_pool_alloc(&pool);
		linked->value = i;
		hw_list_push_back(&links, &linked->link);
	}
	costs_print("intrusive, from a node pool");
	hw_pool_deinit(&pool);

	account_start();
	hw_list_init(&links);
	for (uint64_t i = 0; i < BULK; i++) {
		linked = account_take(sizeof(*linked));
		linked->value = i;
		hw_list_push_back(&links, &linked->link);
	}
	costs_print("intrusive, an allocation each");
	for (struct hw_link *link; (link = hw_list_pop_front(&links));)
		account_give(HW_CONTAINER_OF(link, struct linked, link), sizeof(*linked));

	account_start();
	hw_boxed_list_init(&boxed, free, &account.allocator);
	for (uint64_t i = 0; i < BULK; i++) {
		uint64_t *value = account_take(sizeof(*value));
		*value = i;
		hw_boxed_list_push_back(&boxed, value);
	}
	costs_print("boxed");
	hw_boxed_list_deinit(&boxed);
}

int main(void)
{
	mimalloc_load();
	hw_pooled_list_init(&list, sizeof(uint64_t), NULL);
	bench_race("pooled list: 100,000 pushed, then popped",
		(struct contestant[]){{"heapwhy", pooled_bulk}, {"boxed, glibc", glibc_bulk},
			{"boxed, mimalloc", mimalloc_bulk}, {NULL}});
	bench_race("pooled list: push and pop, 64 in the list",
		(struct contestant[]){{"heapwhy", pooled_steady}, {"boxed, glibc", glibc_steady},
			{"boxed, mimalloc", mimalloc_steady}, {NULL}});
	hw_pooled_list_deinit(&list);
	costs_measure();
	return 0;
}
