// A part of the program that is told when it holds much, and refused when it holds too much.
#include <stdio.h>

#include <heapwhy/budget.h>

static void warn(struct hw_budget *budget, void *context)
{
	printf("soft limit crossed: %llu bytes\n", (unsigned long long)hw_budget_used(budget));
	++*(int *)context;
}

int main(void)
{
	struct hw_budget service, cache;
	int warnings = 0;

	hw_budget_init(&service, NULL, 10000);
	hw_budget_init(&cache, &service, 0);
	hw_budget_set_soft(&cache, 5000, warn, &warnings);

	void *first = hw_alloc(&cache.allocator, 6000, 16);
	void *second = hw_alloc(&cache.allocator, 6000, 16); // the service's hard limit
	printf("first %s, second %s\n", first ? "given" : "refused", second ? "given" : "refused");
	hw_free(&cache.allocator, first, 6000, 16);

	int wrong = !first || second || warnings != 1 || hw_budget_used(&service) != 0;
	hw_budget_deinit(&cache);
	hw_budget_deinit(&service);
	return wrong;
}
