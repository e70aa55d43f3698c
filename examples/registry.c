// What this process holds, asked from inside.
#include <stdio.h>

#include <heapwhy/budget.h>
#include <heapwhy/registry.h>

int main(void)
{
	struct hw_budget orders;
	int found = 0;

	hw_budget_init(&orders, NULL, 0);
	hw_registration_name(&orders.registration, "orders");
	void *block = hw_alloc(&orders.allocator, 1000, 16);

	for (struct hw_registration *r = hw_registry_next(NULL); r; r = hw_registry_next(r)) {
		printf("%s %s: %d bytes in use\n", r->kind->name, r->name ? r->name : "",
			(int)hw_registration_sum(r, HW_USED_BYTES));
		found++;
	}
	hw_free(&orders.allocator, block, 1000, 16);
	hw_budget_deinit(&orders);
	return found != (hw_registry.missed ? 0 : 1);
}
