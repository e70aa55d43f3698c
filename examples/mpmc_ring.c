// Jobs that two workers share, the last one for each of them being "go home".
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include <heapwhy/mpmc_ring.h>

enum { JOBS = 10000, WORKERS = 2, GO_HOME = JOBS };

static struct hw_mpmc_ring *jobs;
static atomic_int done;

static void *work(void *unused)
{
	for (uint64_t job = 0; job != GO_HOME;)
		if (!hw_mpmc_ring_pop(jobs, &job))
			sched_yield();
		else if (job != GO_HOME)
			atomic_fetch_add(&done, 1);
	return NULL;
}

int main(void)
{
	pthread_t workers[WORKERS];

	jobs = hw_mpmc_ring_create(100, NULL);
	for (int i = 0; i < WORKERS; i++)
		pthread_create(&workers[i], NULL, work, NULL);
	for (uint64_t job = 0; job < JOBS + WORKERS; job++)
		while (!hw_mpmc_ring_push(jobs, job < JOBS ? job : GO_HOME))
			sched_yield();
	for (int i = 0; i < WORKERS; i++)
		pthread_join(workers[i], NULL);
	printf("%d jobs done\n", atomic_load(&done));
	hw_mpmc_ring_destroy(jobs);
	return atomic_load(&done) != JOBS;
}
