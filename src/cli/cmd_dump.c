// heapwhy dump TARGET -o FILE: a small core file to take away.
#include <stdio.h>

#include "cli/command.h"
#include "cli/terminal.h"
#include "goruntime/dump.h"
#include "graph/analysis.h"

struct dump_arguments {
	struct analysis_options analysis;
	struct dump_options dump;
	const char *target, *file;
};

enum { KEY_ZSTD = 0x100, KEY_REDACT, KEY_PROGRAM, KEY_EXE, KEY_FORK, KEY_STOP };

static const struct argp_option option_list[] = {
	{"output", 'o', "FILE", 0, "Where the core goes", 0},
	{"zstd", KEY_ZSTD, NULL, 0, "Compress the core", 0},
	{"redact", KEY_REDACT, NULL, 0,
		"Zero strings, byte buffers and other objects without pointers", 0},
	{"with-program", KEY_PROGRAM, NULL, 0,
		"Include the program, so that the core can be analysed where it is not", 0},
	{"exe", KEY_EXE, "FILE", 0, "The program that wrote the core, where it is not found", 0},
	{"fork", KEY_FORK, NULL, 0,
		"Look at a copy made by a fork-like clone: a pause of milliseconds", 0},
	{"stop", KEY_STOP, NULL, 0,
		"Copy while the process stands still: a longer pause, no second process", 0},
	{0},
};

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct dump_arguments *arguments = state->input;

	switch (key) {
	case 'o':
		arguments->file = argument;
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
	case KEY_EXE:
		arguments->analysis.exe = argument;
		return 0;
	case KEY_FORK:
		arguments->analysis.capture.method = CAPTURE_FORK;
		return 0;
	case KEY_STOP:
		arguments->analysis.capture.method = CAPTURE_STOP;
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
			state, error_create(ERROR_USAGE, "dump needs a TARGET and -o FILE"));
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
		err = output_begin(arguments.file, &output);
	if (err)
		return err;
	err = analysis_open_target(arguments.target, &arguments.analysis, &target);
	if (!err) {
		err = dump_write(target, &arguments.dump, output.fd);
		target_destroy(target);
	}
	if (!err)
		return output_commit(&output);
	output_abandon(&output);
	return err;
}

const struct command command_dump = {
	.name = "dump",
	.summary = "write a small core file to take away",
	.argp = &argp,
	.run = run,
};
