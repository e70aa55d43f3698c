// The pooled list against boxed lists, as most programs write them: a node and a value, both from the heap.
#include "bench.h"

#include <dlfcn.h>

#include "heapwhy/pooled_list.h"

enum { BULK = 100000, BULK_ROUNDS = 10, STEADY = 64, STEADY_STEPS = 2000000 };

struct boxed {
	struct boxed *next, *previous;
	uint64_t *value;
};

static void *(*mi_malloc)(size_t bytes);
static void (*mi_free)(void *memory);
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

int main(void)
{
	void *library = dlopen("libmimalloc.so.2", RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return 1;
	mi_malloc = (void *(*)(size_t))dlsym(library, "mi_malloc");
	mi_free = (void (*)(void *))dlsym(library, "mi_free");
	hw_pooled_list_init(&list, sizeof(uint64_t), NULL);
	bench_race("pooled list: 100,000 pushed, then popped",
		(struct contestant[]){{"heapwhy", pooled_bulk}, {"boxed, glibc", glibc_bulk},
			{"boxed, mimalloc", mimalloc_bulk}, {NULL}});
	bench_race("pooled list: push and pop, 64 in the list",
		(struct contestant[]){{"heapwhy", pooled_steady}, {"boxed, glibc", glibc_steady},
			{"boxed, mimalloc", mimalloc_steady}, {NULL}});
	hw_pooled_list_deinit(&list);
	return 0;
}
