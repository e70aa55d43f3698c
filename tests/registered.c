// A C program whose containers heapwhy is to read: makes some, says what the register says of each, and holds still
// until the end of its input. A line each: kind, name, count, used and held bytes, separated by tabs.
#include <stdio.h>
#include <unistd.h>

#include <heapwhy/pool.h>

int main(void)
{
	static struct hw_pool orders, items;
	static void *nodes[10000];
	char input;

	hw_pool_init(&orders, 64, NULL);
	hw_registration_name(&orders.registration, "orders");
	hw_pool_init(&items, 200, NULL);
	for (int i = 0; i < 10000; i++)
		nodes[i] = hw_pool_alloc(&orders);
	for (int i = 0; i < 9000; i++)
		hw_pool_free(&orders, nodes[i]);
	for (int i = 0; i < 50; i++)
		hw_pool_alloc(&items);
	for (struct hw_registration *r = hw_registry_next(NULL); r; r = hw_registry_next(r))
		printf("%s\t%s\t%llu\t%llu\t%llu\n", r->kind->name, r->name ? r->name : "",
			(unsigned long long)hw_registration_sum(r, HW_COUNT),
			(unsigned long long)hw_registration_sum(r, HW_USED_BYTES),
			(unsigned long long)hw_registration_sum(r, HW_HELD_BYTES));
	printf("ready\n");
	fflush(stdout);
	return read(0, &input, 1) < 0;
}
