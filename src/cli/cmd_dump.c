// heapwhy dump TARGET -o FILE: a small core file to take away.
#include "cli/common.h"
#include "goruntime/dump.h"

struct dump_arguments {
	struct common_arguments common;
	struct dump_options dump;
};

enum { KEY_ZSTD = 0x200, KEY_REDACT, KEY_PROGRAM };

static const struct argp_option option_list[] = {
	{"zstd", KEY_ZSTD, NULL, 0, "Compress the core", 0},
	{"redact", KEY_REDACT, NULL, 0,
		"Zero strings, byte buffers and other objects without pointers", 0},
	{"with-program", KEY_PROGRAM, NULL, 0,
		"Include the program, so that the core can be analysed where it is not", 0},
	{0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct dump_arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->common;
		return 0;
	case KEY_ZSTD:
		arguments->dump.compressed = true;
		return 0;
	case KEY_REDACT:
		arguments->dump.redacted = true;
		return 0;
	case KEY_PROGRAM:
		arguments->dump.program = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = option_list,
	.parser = parse,
	.args_doc = "TARGET -o FILE",
	.doc = "Write a core file that holds what an analysis needs and no more. gdb, delve and "
	       "heapwhy can open it.\v"
	       "TARGET is the id of a running Go process, or a larger core file of one. Only its "
	       "owner may read FILE, which appears when it is complete.",
	.children = dump_children,
};

// The file is there before the process is stopped: a directory that cannot be written to costs nobody a
// pause.
static struct error *run(const struct command *command, int argc, char **argv, int *status)
{
	struct dump_arguments arguments = {0};
	struct target *target;
	struct output output;
	struct error *err = command_parse(command, argc, argv, &arguments);

	if (!err)
		err = output_begin(arguments.common.file, &output);
	if (err)
		return err;
	const struct analysis_options options = common_options(&arguments.common);
	err = analysis_open_target(arguments.common.target, &options, &target);
	if (!err) {
		err = dump_write(target, &arguments.dump, output.fd);
		target_destroy(target);
	}
	return output_end(&output, err);
}

const struct command command_dump = {
	.name = "dump",
	.summary = "write a small core file to take away",
	.argp = &argp,
	.run = run,
};
