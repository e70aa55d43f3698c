// Orders that come and go, one by one.
#include <stdio.h>

#include <heapwhy/pool.h>

struct order {
	long number;
	double price;
};

int main(void)
{
	struct hw_pool pool;
	struct order *orders[100];

	hw_pool_init(&pool, sizeof(struct order), NULL);
	hw_registration_name(&pool.registration, "orders");
	for (long i = 0; i < 100; i++) {
		orders[i] = hw_pool_alloc(&pool);
		if (!orders[i])
			return 1; // out of memory
		*orders[i] = (struct order){i, 9.95};
	}
	for (int i = 0; i < 90; i++)
		hw_pool_free(&pool, orders[i]);
	printf("%d orders, %d bytes held\n", (int)hw_pool_live(&pool),
		(int)hw_pool_held_bytes(&pool));
	int wrong = hw_pool_live(&pool) != 10;
	hw_pool_deinit(&pool); // the other ten go with it
	return wrong;
}
