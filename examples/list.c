// Orders in two lists at the same time, without an allocation.
#include <stdio.h>

#include <heapwhy/list.h>

struct order {
	int number;
	struct hw_link all, urgent;
};

int main(void)
{
	struct order orders[10] = {{0}};
	struct hw_list all, urgent;
	int sum = 0;

	hw_list_init(&all);
	hw_list_init(&urgent);
	for (int i = 0; i < 10; i++) {
		orders[i].number = i;
		hw_list_push_back(&all, &orders[i].all);
		if (i % 3 == 0)
			hw_list_push_front(&urgent, &orders[i].urgent);
	}
	hw_list_each_safe (&all, link)
		if (HW_CONTAINER_OF(link, struct order, all)->number % 2)
			hw_list_remove(link);
	hw_list_each (&all, link)
		sum += HW_CONTAINER_OF(link, struct order, all)->number;
	struct hw_link *first = hw_list_pop_front(&urgent);
	printf("even numbers sum up to %d, most urgent is %d\n", sum,
		HW_CONTAINER_OF(first, struct order, urgent)->number);
	return sum != 20;
}
