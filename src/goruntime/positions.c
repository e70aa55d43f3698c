// See positions.h.
#include "goruntime/positions.h"

#include <string.h>

#include "base/cleanup.h"

size_t frame_positions(const struct go_runtime *runtime, const struct frame *frame,
	struct pcln_position *positions, size_t max)
{
	struct pcln_function function;

	if (frame->module >= runtime->module_count ||
		!pclntab_function(
			runtime->modules[frame->module].pclntab, frame->function, &function))
		return 0;
	return pclntab_positions(
		runtime->modules[frame->module].pclntab, &function, frame->pc, positions, max);
}

bool function_is_plumbing(const char *function)
{
	static const char *const prefixes[] = {"runtime.", "internal/", "sync.", "time.Sleep",
		"syscall.", "os/signal.signal_recv"};

	for (size_t i = 0; i < ARRAY_COUNT(prefixes); i++)
		if (!strncmp(function, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

const char *goroutine_function(const struct goroutine_list *list, uint32_t index)
{
	const struct goroutine *goroutine = &list->goroutines[index];
	struct pcln_position position;
	struct pcln_function start;
	const struct go_module *module;

	for (uint32_t i = 0; i < goroutine->frame_count; i++)
		if (frame_positions(list->runtime, &list->frames[goroutine->first_frame + i],
			    &position, 1) &&
			!function_is_plumbing(position.function))
			return position.function;
	return go_find_function(list->runtime, goroutine->start, &module, &start) ? start.name : "";
}
