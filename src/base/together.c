#include "base/together.h"

#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"

struct turn {
	void (*run)(void *job);
	void *job;
	pthread_t thread;
	bool started;
};

static void *turn_run(void *context)
{
	const struct turn *turn = context;

	turn->run(turn->job);
	return NULL;
}

void together(void (*run)(void *job), void *jobs, size_t count, size_t stride)
{
	struct turn turns[TOGETHER_MAX];

	BUG_ON(count > TOGETHER_MAX);
	for (size_t i = 0; i < count; i++)
		turns[i] = (struct turn){.run = run, .job = (char *)jobs + i * stride};
	for (size_t i = 1; i < count; i++)
		turns[i].started = !pthread_create(&turns[i].thread, NULL, turn_run, &turns[i]);
	if (count)
		turn_run(&turns[0]);
	for (size_t i = 1; i < count; i++) {
		if (turns[i].started)
			pthread_join(turns[i].thread, NULL);
		else
			turn_run(&turns[i]);
	}
}
