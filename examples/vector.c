// A growing array of structs, by value.
#include <stdio.h>

#include <heapwhy/vector.h>

struct point {
	int x, y;
};

int main(void)
{
	HW_VECTOR(struct point) points = HW_VECTOR_INIT;
	int sum = 0;

	for (int i = 0; i < 100; i++)
		if (!hw_vector_push(&points, ((struct point){i, -i})))
			return 1; // out of memory
	for (size_t i = 0; i < points.count; i++)
		sum += points.items[i].x + points.items[i].y;
	points.count = 10;
	hw_vector_shrink(&points); // the other 90 are given back
	printf("%zu points, room for %zu, sum %d\n", points.count, points.capacity, sum);
	hw_vector_deinit(&points);
	return sum;
}
