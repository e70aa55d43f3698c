// A stack of values of any size: what a container of one's own needs to copy them fast.
#include <stdio.h>

#include <heapwhy/value.h>

struct stack {
	size_t value_bytes, count;
	char bytes[1024];
};

static int stack_push(struct stack *stack, const void *value)
{
	if ((stack->count + 1) * stack->value_bytes > sizeof(stack->bytes))
		return 0;
	hw_value_copy(
		stack->bytes + stack->count++ * stack->value_bytes, value, stack->value_bytes);
	return 1;
}

static void stack_pop(struct stack *stack, void *value)
{
	hw_value_copy(
		value, stack->bytes + --stack->count * stack->value_bytes, stack->value_bytes);
}

int main(void)
{
	struct stack numbers = {.value_bytes = sizeof(long)};
	long sum = 0, number;

	for (long i = 1; i <= 10; i++)
		stack_push(&numbers, &i);
	while (numbers.count) {
		stack_pop(&numbers, &number);
		sum += number;
	}
	printf("the sum is %ld\n", sum);
	return sum != 55;
}
