// heapwhy TARGET: why is it so big?
#include <stdio.h>

#include "base/cleanup.h"
#include "cli/common.h"
#include "output/containers_report.h"
#include "output/report_json.h"
#include "output/report_text.h"
#include "output/snapshot.h"

enum { TOP_DEFAULT = 10, PATHS_LEAST = 20 };

static const struct argp argp = {
	.parser = common_parse,
	.args_doc = "TARGET",
	.doc = "Why is this Go program holding so much memory?\v"
	       "TARGET is the id of a running Go process, a core file of one, or a "
	       "snapshot. A process stands still for some milliseconds and goes on as it was.",
	.children = findings_children,
};

static struct error *make_report(
	const struct common_arguments *arguments, struct target **rejected, struct report **out)
{
	const struct report_options options = {
		.paths = arguments->top > PATHS_LEAST ? arguments->top : PATHS_LEAST};

	return common_report(arguments, &options, rejected, out);
}

static struct error *write_report(
	const struct common_arguments *arguments, const struct report *report)
{
	struct style style = common_style(arguments, TOP_DEFAULT);
	_cleanup_text_ struct text text = TEXT_INIT;
	struct error *err =
		arguments->json ? report_json(report, &text) : report_text(report, &style, &text);

	return err ? err : common_output(arguments, &text);
}

// A program that is not Go may be one in C whose containers say what they hold. What was wrong with it as a Go
// program, `err`, is said when it is not. Consumes both.
static struct error *answer_for_c(
	const struct common_arguments *arguments, struct target *target, struct error *err)
{
	_cleanup_error_ struct error *not_go = err;
	_cleanup_text_ struct text text = TEXT_INIT;
	struct containers containers;

	err = containers_read(target, &containers);
	target_release(target);
	if (err) {
		error_destroy(err);
		target_destroy(target);
		return take_pointer(not_go);
	}
	struct style style = terminal_style(arguments->color, 0);
	err = arguments->json ? containers_json(target, &containers, &text)
			      : containers_text(target, &containers, &style, &text);
	containers_deinit(&containers);
	target_destroy(target);
	return err ? err : common_output(arguments, &text);
}

static struct error *run(const struct command *command, int argc, char **argv, int *status)
{
	struct common_arguments arguments = {0};
	struct report *report;
	struct error *err = command_parse(command, argc, argv, &arguments);

	if (err)
		return err;
	if (!arguments.target) {
		fputs("Usage: heapwhy [OPTION...] TARGET\n"
		      "       heapwhy COMMAND [ARGUMENT...]\n"
		      "TARGET is the id of a running Go process or a core file; 'heapwhy help' "
		      "tells the rest.\n",
			stderr);
		*status = ERROR_USAGE;
		return NULL;
	}
	struct target *rejected = NULL;
	err = make_report(&arguments, &rejected, &report);
	if (err)
		return rejected ? answer_for_c(&arguments, rejected, err) : err;
	err = write_report(&arguments, report);
	if (!err)
		*status = common_verdict(&arguments, report->finding_bytes);
	report_destroy(report);
	return err;
}

const struct command command_report = {
	.name = "report",
	.summary = "why is it so big (also without the word: heapwhy TARGET)",
	.argp = &argp,
	.run = run,
};
