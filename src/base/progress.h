// What a long job is doing right now, for whoever wants to show it.
//
//	struct progress progress = {.show = line_show, .context = &line};
//	progress_phase(&progress, "reading objects", 3 * GIB);
//
// Libraries report phases; only the command line shows them. A NULL progress is nobody watching.
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include <stdint.h>

struct progress {
	// A new phase begins: `phase` is a static string ("reading objects"), `bytes` how much it
	// will look at, 0 when that is not known. Called by the thread that runs the job, a few
	// times a run.
	void (*show)(void *context, const char *phase, uint64_t bytes);
	void *context;
};

static inline void progress_phase(
	const struct progress *progress, const char *phase, uint64_t bytes)
{
	if (progress && progress->show)
		progress->show(progress->context, phase, bytes);
}

#endif
