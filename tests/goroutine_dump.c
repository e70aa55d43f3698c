// Prints the goroutines of a process as Go's own traceback does with GOTRACEBACK=system, for tests/goroutines.py to
// compare the two.
//
//	goroutine_dump PID
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "debuginfo/pclntab.h"
#include "observation.h"

#include "base/cleanup.h"
#include "base/error.h"

// runtime.funcNameForPrint (traceback.go): what stands in brackets is left out, "runtime.gopanic" is "panic".
static void print_name(const char *name)
{
	const char *open = strchr(name, '['), *close = strrchr(name, ']');

	if (!strcmp(name, "runtime.gopanic"))
		fputs("panic", stdout);
	else if (open && close && close > open)
		printf("%.*s[...]%s", (int)(open - name), name, close + 1);
	else
		fputs(name, stdout);
}

static void print_frame(const struct go_runtime *runtime, const struct frame *frame)
{
	const struct pclntab *table = runtime->modules[frame->module].pclntab;
	struct pcln_position positions[64];
	struct pcln_function function;
	size_t count = 0;

	if (pclntab_function(table, frame->function, &function))
		count = pclntab_positions(
			table, &function, frame->pc, positions, ARRAY_COUNT(positions));
	for (size_t i = 0; i < count; i++) {
		bool inlined = i + 1 < count;

		print_name(positions[i].function);
		printf("(%s)\n\t%s:%" PRId32, inlined ? "..." : "", positions[i].file,
			positions[i].line);
		if (!inlined)
			printf(" fp=0x%" PRIx64 " sp=0x%" PRIx64 " pc=0x%" PRIx64, frame->fp,
				frame->sp, frame->pc);
		putchar('\n');
	}
}

static void print_creator(const struct go_runtime *runtime, const struct goroutine *goroutine)
{
	struct pcln_position positions[64];
	const struct go_module *module;
	struct pcln_function function;
	size_t count;

	if (!go_find_function(runtime, goroutine->created_at, &module, &function) ||
		goroutine->id == 1)
		return;
	count = pclntab_positions(module->pclntab, &function, goroutine->created_at - 1, positions,
		ARRAY_COUNT(positions));
	if (!count)
		return;
	printf("created by ");
	print_name(function.name);
	if (goroutine->parent_id)
		printf(" in goroutine %" PRIu64, goroutine->parent_id);
	printf("\n\t%s:%" PRId32 "\n", positions[0].file, positions[0].line);
}

int main(int argc, char **argv)
{
	struct observation observation;
	struct error *err;

	if (argc != 2) {
		fprintf(stderr, "usage: goroutine_dump PID\n");
		return 2;
	}
	err = observation_open(atoi(argv[1]), CAPTURE_AUTO, &observation);
	if (err) {
		fprintf(stderr, "goroutine_dump: %s\n", error_message(err));
		error_destroy(err);
		return 1;
	}
	for (uint32_t i = 0; i < observation.goroutines->count; i++) {
		const struct goroutine *goroutine = &observation.goroutines->goroutines[i];

		printf("goroutine %" PRIu64 " gp=0x%" PRIx64 " [%s]%s:\n", goroutine->id,
			goroutine->address, goroutine->wait_reason,
			goroutine->system ? " (system)" : "");
		for (uint32_t k = 0; k < goroutine->frame_count; k++)
			print_frame(observation.runtime,
				&observation.goroutines->frames[goroutine->first_frame + k]);
		print_creator(observation.runtime, goroutine);
		putchar('\n');
	}
	printf("truncated %" PRIu64 "\n", observation.goroutines->truncated_stacks);
	observation_close(&observation);
	return 0;
}
