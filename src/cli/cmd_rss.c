// heapwhy rss TARGET: where is the resident memory?
#include "cli/common.h"
#include "output/report_json.h"
#include "output/rss_text.h"

struct rss_arguments {
	struct common_arguments common;
	const char *target;
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct rss_arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->common;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->target)
			return command_mistake(
				state, error_create(ERROR_USAGE, "one TARGET at a time"));
		arguments->target = argument;
		return 0;
	case ARGP_KEY_END:
		if (arguments->target)
			return 0;
		return command_mistake(state, error_create(ERROR_USAGE, "rss needs a TARGET"));
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "TARGET",
	.doc = "Where is the memory that the kernel says this process has? Every resident byte in "
	       "one "
	       "account.\v"
	       "The accounts add up to the Rss of /proc/PID/smaps_rollup.",
	.children = common_children,
};

static struct error *run(const struct command *command, int argc, char **argv, int *status)
{
	const struct report_options options = {.only_ledger = true};
	struct rss_arguments arguments = {0};
	_cleanup_text_ struct text text = TEXT_INIT;
	struct report *report;
	struct error *err = command_parse(command, argc, argv, &arguments);

	if (!err)
		err = common_report(&arguments.common, arguments.target, &options, NULL, &report);
	if (err)
		return err;
	struct style style = terminal_style(arguments.common.color, 0);
	err = arguments.common.json ? report_json(report, &text) : rss_text(report, &style, &text);
	if (!err)
		err = common_output(&arguments.common, &text);
	report_destroy(report);
	return err;
}

const struct command command_rss = {
	.name = "rss",
	.summary = "where is the resident memory: every byte in one account",
	.argp = &argp,
	.run = run,
};
