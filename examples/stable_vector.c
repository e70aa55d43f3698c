// A pointer to the first element stays good while a million more are pushed.
#include <stdio.h>

#include <heapwhy/stable_vector.h>

int main(void)
{
	HW_STABLE_VECTOR(long) numbers;

	hw_stable_vector_init(&numbers, 0, NULL);
	if (!hw_stable_vector_push(&numbers, 42))
		return 1; // out of memory
	long *first = &numbers.items[0];
	for (long i = 0; i < 1000000; i++)
		if (!hw_stable_vector_push(&numbers, i))
			return 1;
	printf("the first is %ld; %d bytes held\n", *first, (int)numbers.range.held_bytes);
	int wrong = first != numbers.items || *first != 42;
	hw_stable_vector_deinit(&numbers);
	return wrong;
}
