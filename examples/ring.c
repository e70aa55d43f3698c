// A queue that refuses more than ten jobs.
#include <stdio.h>

#include <heapwhy/ring.h>

int main(void)
{
	struct hw_ring jobs;
	int pushed = 0, sum = 0, job;

	hw_ring_init(&jobs, sizeof(int), 10, NULL);
	for (int i = 1; i <= 12; i++) {
		int *place = hw_ring_push(&jobs);
		if (!place)
			break; // full
		*place = i;
		pushed++;
	}
	printf("%d jobs, the third is %d\n", pushed, *(int *)hw_ring_at(&jobs, 2));
	while (hw_ring_pop(&jobs, &job))
		sum += job;
	hw_ring_deinit(&jobs);
	return sum != 55;
}
