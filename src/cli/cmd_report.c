// heapwhy TARGET: why is it so big?
#include <stdio.h>

#include "base/units.h"
#include "base/cleanup.h"
#include "cli/common.h"
#include "output/containers_report.h"
#include "output/report_json.h"
#include "output/report_text.h"
#include "output/snapshot.h"

enum { TOP_DEFAULT = 10, TOP_MAX = 1000, PATHS_LEAST = 20 };

struct report_arguments {
	struct common_arguments common;
	unsigned top;     // 0: not said
	uint64_t fail_on; // UINT64_MAX: never
};

static const struct argp_option option_list[] = {
	{"top", 'n', "N", 0, "Rows in each table (10)", 0},
	{"fail-on", 'f', "BYTES", 0,
		"Exit with 1 when findings amount to BYTES (64K, 10M, 1G) or more", 0},
	{0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct report_arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->common;
		return 0;
	case 'n':
		return command_number(state, "--top", argument, TOP_MAX, &arguments->top);
	case 'f':
		if (!parse_bytes(argument, &arguments->fail_on))
			return 0;
		return command_mistake(state,
			error_create(ERROR_USAGE, "--fail-on takes a size such as 64K, 10M or 1G"));
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = option_list,
	.parser = parse,
	.args_doc = "TARGET",
	.doc = "Why is this Go program holding so much memory?\v"
	       "TARGET is the id of a running Go process, a core file of one, or a "
	       "snapshot. A process stands still for some milliseconds and goes on as it was.",
	.children = common_children,
};

static struct error *make_report(
	const struct report_arguments *arguments, struct target **rejected, struct report **out)
{
	const struct report_options options = {
		.paths = arguments->top > PATHS_LEAST ? arguments->top : PATHS_LEAST};

	return common_report(&arguments->common, &options, rejected, out);
}

static struct error *write_report(
	const struct report_arguments *arguments, const struct report *report)
{
	struct style style = terminal_style(
		arguments->common.color, arguments->top ? arguments->top : TOP_DEFAULT);
	_cleanup_text_ struct text text = TEXT_INIT;

	// Who asks for rows gets them.
	style.everything = arguments->top != 0;
	struct error *err = arguments->common.json ? report_json(report, &text)
						   : report_text(report, &style, &text);

	return err ? err : common_output(&arguments->common, &text);
}

// A program that is not Go may be one in C whose containers say what they hold. What was wrong with it as a Go
// program, `err`, is said when it is not. Consumes both.
static struct error *answer_for_c(
	const struct report_arguments *arguments, struct target *target, struct error *err)
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
	struct style style = terminal_style(arguments->common.color, 0);
	err = arguments->common.json ? containers_json(target, &containers, &text)
				     : containers_text(target, &containers, &style, &text);
	containers_deinit(&containers);
	target_destroy(target);
	return err ? err : common_output(&arguments->common, &text);
}

static struct error *run(const struct command *command, int argc, char **argv, int *status)
{
	struct report_arguments arguments = {.fail_on = UINT64_MAX};
	struct report *report;
	struct error *err = command_parse(command, argc, argv, &arguments);

	if (err)
		return err;
	if (!arguments.common.target) {
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
	if (!err && report->finding_bytes && report->finding_bytes >= arguments.fail_on)
		*status = 1;
	report_destroy(report);
	return err;
}

const struct command command_report = {
	.name = "report",
	.summary = "why is it so big (also without the word: heapwhy TARGET)",
	.argp = &argp,
	.run = run,
};
