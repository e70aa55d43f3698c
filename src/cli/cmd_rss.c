// heapwhy rss TARGET: where is the resident memory?
#include "cli/common.h"
#include "output/report_json.h"
#include "output/rss_text.h"

static error_t parse(int key, char *argument, struct argp_state *state)
{
	const struct common_arguments *arguments = state->input;

	if (key == ARGP_KEY_END && !arguments->target)
		return command_mistake(state, error_create(ERROR_USAGE, "rss needs a TARGET"));
	return common_parse(key, argument, state);
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "TARGET",
	.doc = "Where is the memory that the kernel says this process has? Every resident byte in "
	       "one account.\v"
	       "The accounts add up to the Rss of /proc/PID/smaps_rollup.",
	.children = common_children,
};

static struct error *run(const struct command *command, int argc, char **argv, int *status)
{
	const struct report_options options = {.only_ledger = true};
	struct common_arguments arguments = {0};
	_cleanup_text_ struct text text = TEXT_INIT;
	struct report *report;
	struct error *err = command_parse(command, argc, argv, &arguments);

	if (!err)
		err = common_report(&arguments, &options, NULL, &report);
	if (err)
		return err;
	struct style style = terminal_style(arguments.color, 0);
	err = arguments.json ? report_json(report, &text) : rss_text(report, &style, &text);
	if (!err)
		err = common_output(&arguments, &text);
	report_destroy(report);
	return err;
}

const struct command command_rss = {
	.name = "rss",
	.summary = "where is the resident memory: every byte in one account",
	.argp = &argp,
	.run = run,
};
