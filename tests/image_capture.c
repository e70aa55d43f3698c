// Makes a captured image (captured.h) of a Go process.
//
//	image_capture PID HEAP_ALLOC FILE
#include "captured.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "debuginfo/pclntab.h"
#include "goruntime/runtime.h"
#include "heapwhy/vector.h"
#include "target/process.h"

// The functions whose instructions goruntime/variables.c decodes.
static const char *const decoded[] = {"runtime.spanOf", "runtime.findObject", "runtime.allgadd",
	"runtime.setGCPhase", "runtime.gcMarkTermination", "runtime.markroot",
	"runtime.readmemstats_m"};

static struct error *image_write(struct target *target, uint64_t heap_alloc, const char *path)
{
	HW_VECTOR(remote_addr) code = HW_VECTOR_INIT;
	struct go_runtime *runtime;
	struct error *err = go_runtime_open(target, &runtime);

	if (err)
		return err;
	for (size_t i = 0; i < ARRAY_COUNT(decoded); i++) {
		struct pcln_function function;

		if (!pclntab_find_name(runtime->modules[0].pclntab, decoded[i], &function))
			continue;
		for (remote_addr at = function.entry; at < function.end + CAPTURED_PAGE;
			at += CAPTURED_PAGE)
			hw_vector_push(&code, at);
	}
	err = captured_save(path, target, heap_alloc, code.items, code.count);
	hw_vector_deinit(&code);
	go_runtime_close(runtime);
	return err;
}

int main(int argc, char **argv)
{
	struct capture_options options = {.method = CAPTURE_AUTO};
	struct target *target;

	if (argc != 4) {
		fprintf(stderr, "usage: image_capture PID HEAP_ALLOC FILE\n");
		return 2;
	}
	struct error *err = process_capture(atoi(argv[1]), &options, &target);
	if (!err) {
		err = image_write(target, strtoull(argv[2], NULL, 10), argv[3]);
		target_destroy(target);
	}
	if (err)
		fprintf(stderr, "image_capture: %s\n", error_message(err));
	return err ? error_kind(err) : 0;
}
