// A configuration that one thread replaces while another one reads it.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <heapwhy/epoch.h>

struct config {
	struct hw_epoch_garbage garbage;
	int version, twice;
};

static struct hw_epoch *epoch;
static _Atomic(struct config *) current;
static atomic_bool done;

static void config_release(struct hw_epoch_garbage *garbage)
{
	free(garbage); // its first member
}

static struct config *config_create(int version)
{
	struct config *config = malloc(sizeof(*config));

	if (!config)
		abort();
	*config = (struct config){{NULL, config_release, sizeof(*config)}, version, 2 * version};
	return config;
}

static void *read_config(void *wrong)
{
	struct hw_epoch_reader *reader = hw_epoch_join(epoch, "example");

	while (!atomic_load(&done)) {
		hw_epoch_enter(reader);
		struct config *config = atomic_load(&current); // stays allocated until exit
		*(int *)wrong += config->twice != 2 * config->version;
		hw_epoch_exit(reader);
	}
	hw_epoch_leave(reader);
	return NULL;
}

int main(void)
{
	pthread_t thread;
	int wrong = 0, refused = 0;

	epoch = hw_epoch_create(64 << 10, NULL);
	atomic_store(&current, config_create(0));
	pthread_create(&thread, NULL, read_config, &wrong);
	for (int version = 1; version <= 10000; version++) {
		if (!hw_epoch_admit(epoch, sizeof(struct config))) {
			refused++; // the reader holds up too much garbage: keep the old one
			continue;
		}
		struct config *old = atomic_exchange(&current, config_create(version));
		hw_epoch_retire(epoch, &old->garbage);
	}
	atomic_store(&done, true);
	pthread_join(thread, NULL);

	struct hw_epoch_stats stats = hw_epoch_stats(epoch);
	printf("%d retired, %d refused, at most %zu bytes of garbage at once\n",
		(int)stats.retired_count, refused, stats.limit_bytes);
	free(atomic_load(&current));
	hw_epoch_destroy(epoch);
	return wrong != 0;
}
