// A list whose values are removed while it is walked.
#include <stdio.h>

#include <heapwhy/pooled_list.h>

int main(void)
{
	struct hw_pooled_list numbers;
	int *number, sum = 0;

	hw_pooled_list_init(&numbers, sizeof(int), NULL);
	for (int i = 0; i < 10; i++) {
		number = hw_pooled_list_push_back(&numbers);
		if (!number)
			return 1; // out of memory
		*number = i;
	}
	struct hw_pooled_list_iterator it = hw_pooled_list_iterate(&numbers);
	while ((number = hw_pooled_list_next(&it)))
		if (*number % 2)
			hw_pooled_list_iterator_remove(&it);
	hw_pooled_list_each (&numbers, number)
		sum += *number;
	printf("%d numbers, sum %d\n", (int)numbers.count, sum);
	hw_pooled_list_deinit(&numbers);
	return sum != 20;
}
