#include "base/beside.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/units.h"

static void *beside_run(void *context)
{
	struct beside *beside = context;
	uint64_t start = clock_ns();

	beside->err = beside->run(beside->context);
	beside->took = clock_ns() - start;
	return NULL;
}

void beside_start(struct beside *beside, bool threaded)
{
	beside->started = threaded && !pthread_create(&beside->thread, NULL, beside_run, beside);
}

struct error *beside_finish(struct beside *beside, struct error *err)
{
	if (beside->started)
		pthread_join(beside->thread, NULL);
	else if (!err)
		beside_run(beside);
	beside->started = false;
	if (!err)
		return take_pointer(beside->err);
	error_destroy(take_pointer(beside->err));
	return err;
}
