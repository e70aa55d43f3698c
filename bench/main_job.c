// The report without the ledger and the rules, in milliseconds: what these add is the difference to `heapwhy PID`.
//
//	main_job PID
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/units.h"
#include "output/report_parts.h"

static struct error *report_fill(struct report *report, struct analysis *analysis)
{
	const struct report_options options = {.paths = 10};
	struct error *err = report_holders(report, analysis, &options);
	struct type_counting *types = err ? NULL : type_counting_start(analysis);

	if (!err && !types)
		err = error_no_memory();
	analysis_release_target(analysis);
	if (!err)
		err = report_types(report, analysis, types);
	type_counting_destroy(types);
	return err ? err : report_goroutines(report, analysis);
}

int main(int argc, char **argv)
{
	const struct analysis_options options = {0};
	struct analysis *analysis = NULL;
	struct report *report = calloc(1, sizeof(*report));
	uint64_t start = clock_ns();

	if (argc != 2 || !report)
		return EXIT_FAILURE;
	hw_arena_init(&report->arena, 0);
	struct error *err = analysis_open(argv[1], &options, &analysis);
	if (!err)
		err = report_fill(report, analysis);
	int status = err ? EXIT_FAILURE : EXIT_SUCCESS;
	if (err)
		fprintf(stderr, "main_job: %s\n", error_message(err));
	else
		printf("%.1f\n", (double)(clock_ns() - start) / 1e6);
	error_destroy(err);
	report_destroy(report);
	analysis_close(analysis);
	return status;
}
