// Uses what it has given back, in the way that its argument says; tests/library.sh looks at what comes of it.
//
//	freed_use (pool|arena|ring) (read|write)
#include <stdio.h>
#include <string.h>

#include <heapwhy/arena.h>
#include <heapwhy/pool.h>
#include <heapwhy/ring.h>

struct order {
	long number, price;
	char customer[48];
};

static struct hw_pool pool;
static struct hw_arena arena;
static struct hw_ring ring;

// Both are never inlined, so that their names can be looked for.
static __attribute__((noinline)) struct order *order_take(const char *from)
{
	if (!strcmp(from, "pool"))
		return hw_pool_alloc(&pool);
	return !strcmp(from, "arena") ? hw_arena_alloc(&arena, sizeof(struct order))
				      : hw_ring_push(&ring);
}

static __attribute__((noinline)) void order_return(const char *from, struct order *order)
{
	struct order last;

	if (!strcmp(from, "pool"))
		hw_pool_free(&pool, order);
	else if (!strcmp(from, "arena"))
		hw_arena_reset(&arena);
	else
		hw_ring_pop(&ring, &last);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	hw_pool_init(&pool, sizeof(struct order), NULL);
	hw_arena_init(&arena, 0);
	hw_ring_init(&ring, sizeof(struct order), 0, NULL);

	struct order *order = order_take(argv[1]);
	if (!order)
		return 2;
	memset(order, 0, sizeof(*order));
	order_return(argv[1], order);
	if (!strcmp(argv[2], "write"))
		order->number = 4711;
	else
		printf("%ld\n", order->price);
	// In debug mode by itself a pool notices when the node is to be used again.
	for (int i = 0; i < 5000 && !strcmp(argv[1], "pool"); i++)
		order_return(argv[1], order_take(argv[1]));

	hw_ring_deinit(&ring);
	hw_arena_deinit(&arena);
	hw_pool_deinit(&pool);
	return 0;
}
