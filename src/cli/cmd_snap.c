// heapwhy snap TARGET -o FILE: an analysed heap in a file.
#include "cli/common.h"
#include "output/snapshot.h"

struct snap_arguments {
	struct common_arguments common;
	const char *target, *file;
};

static const struct argp_option option_list[] = {
	{"output", 'o', "FILE", 0, "Where the snapshot goes (FILE.hw)", 0},
	{0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct snap_arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->common;
		return 0;
	case 'o':
		arguments->file = argument;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->target)
			return command_mistake(
				state, error_create(ERROR_USAGE, "one TARGET at a time"));
		arguments->target = argument;
		return 0;
	case ARGP_KEY_END:
		if (arguments->target && arguments->file)
			return 0;
		return command_mistake(
			state, error_create(ERROR_USAGE, "snap needs a TARGET and -o FILE"));
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = option_list,
	.parser = parse,
	.args_doc = "TARGET -o FILE",
	.doc = "Write an analysed heap to a file that opens at once, anywhere.\v"
	       "TARGET is the id of a running Go process, or a core file of one. Only its owner "
	       "may "
	       "read FILE, which appears when it is complete.",
	.children = capture_children,
};

static struct error *run(const struct command *command, int argc, char **argv, int *status)
{
	struct snap_arguments arguments = {0};
	struct analysis *analysis;
	struct output output;
	struct error *err = command_parse(command, argc, argv, &arguments);

	if (!err)
		err = output_begin(arguments.file, &output);
	if (err)
		return err;
	err = common_open(&arguments.common, arguments.target, &analysis);
	if (!err) {
		err = snapshot_write(analysis, output.fd);
		analysis_close(analysis);
	}
	if (!err)
		return output_commit(&output);
	output_abandon(&output);
	return err;
}

const struct command command_snap = {
	.name = "snap",
	.summary = "write an analysed heap to a file that opens at once",
	.argp = &argp,
	.run = run,
};
