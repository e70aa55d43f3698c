// heapwhy paths TARGET ADDRESS|TYPE: why are these objects alive?
#include <stdlib.h>

#include "cli/common.h"
#include "output/paths.h"
#include "output/snapshot.h"

enum { PATHS_DEFAULT = 3, PATHS_MAX = 1000 };

struct paths_arguments {
	struct common_arguments common;
	const char *subject;
	unsigned count;
};

static const struct argp_option option_list[] = {
	{"count", 'n', "N", 0, "Paths to the N largest objects of the type (3)", 0},
	{0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct paths_arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->common;
		return 0;
	case 'n':
		return command_number(state, "--count", argument, PATHS_MAX, &arguments->count);
	case ARGP_KEY_ARG:
		if (!arguments->common.target)
			return ARGP_ERR_UNKNOWN; // the child's
		if (arguments->subject)
			return command_mistake(
				state, error_create(ERROR_USAGE, "one ADDRESS or TYPE at a time"));
		arguments->subject = argument;
		return 0;
	case ARGP_KEY_END:
		if (arguments->subject)
			return 0;
		return command_mistake(
			state, error_create(ERROR_USAGE, "paths needs a TARGET and an ADDRESS "
							 "(0x...) or a TYPE (main.order)"));
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = option_list,
	.parser = parse,
	.args_doc = "TARGET ADDRESS|TYPE",
	.doc = "Why are these objects alive? Shortest paths to them from global variables, "
	       "goroutines and other roots.\v"
	       "ADDRESS (0x...) may lie anywhere in an object; TYPE is a type as the report names "
	       "it.",
	.children = common_children,
};

static struct error *read_paths(const struct paths_arguments *arguments, struct paths **out)
{
	struct snapshot *snapshot;
	struct error *err = snapshot_open(arguments->common.target, &snapshot);

	if (err)
		return err;
	err = snapshot_paths(snapshot, arguments->subject, arguments->count, out);
	snapshot_close(snapshot);
	return err;
}

static struct error *make_paths(const struct paths_arguments *arguments, struct paths **out)
{
	struct analysis *analysis;

	if (snapshot_is_likely(arguments->common.target))
		return read_paths(arguments, out);
	struct error *err = common_open(&arguments->common, &analysis);
	if (err)
		return err;
	err = paths_find(analysis, arguments->subject, arguments->count, out);
	analysis_close(analysis);
	return err;
}

static struct error *run(const struct command *command, int argc, char **argv, int *status)
{
	struct paths_arguments arguments = {.count = PATHS_DEFAULT};
	_cleanup_text_ struct text text = TEXT_INIT;
	struct paths *paths;
	struct error *err = command_parse(command, argc, argv, &arguments);

	if (!err)
		err = make_paths(&arguments, &paths);
	if (err)
		return err;
	struct style style = terminal_style(arguments.common.color, arguments.count);
	err = arguments.common.json ? paths_json(paths, &text) : paths_text(paths, &style, &text);
	if (!err)
		err = common_output(&arguments.common, &text);
	paths_destroy(paths);
	return err;
}

const struct command command_paths = {
	.name = "paths",
	.summary = "why are these objects alive: paths to them from roots",
	.argp = &argp,
	.run = run,
};
