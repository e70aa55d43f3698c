// What the commands that examine a target have in common. See common.h.
#include "cli/common.h"

#include <stdio.h>

#include "base/log.h"
#include "base/units.h"
#include "output/snapshot.h"

enum { TOP_MAX = 1000 };
enum { KEY_JSON = 0x100, KEY_STOP, KEY_FORK, KEY_COLOR, KEY_NO_PROGRESS, KEY_EXE };

static const struct argp_option source_options[] = {
	{"exe", KEY_EXE, "FILE", 0, "The program that wrote the core, where it is not found", 0},
	{"fork", KEY_FORK, NULL, 0,
		"Look at a copy made by a fork-like clone: a pause of milliseconds", 0},
	{"stop", KEY_STOP, NULL, 0,
		"Copy while the process stands still: a longer pause, no second process", 0},
	{0},
};

static const struct argp_option watch_options[] = {
	{"no-progress", KEY_NO_PROGRESS, NULL, 0, "Do not show on the terminal what is going on",
		0},
	{"verbose", 'v', NULL, 0, "Tell on standard error what each phase took", 0},
	{0},
};

static const struct argp_option display_options[] = {
	{"json", KEY_JSON, "FILE", OPTION_ARG_OPTIONAL,
		"Write JSON instead of text, to standard output or to FILE", 0},
	{"color", KEY_COLOR, "WHEN", 0, "Colours: auto, always or never", 0},
	{0},
};

static const struct argp_option findings_options[] = {
	{"top", 'n', "N", 0, "Rows in each table (10; of diff 6), also such as hardly matter", 0},
	{"fail-on", 'f', "BYTES", 0,
		"Exit with 1 when findings amount to BYTES (64K, 10M, 1G) or more", 0},
	{0},
};

static const struct argp_option file_options[] = {
	{"output", 'o', "FILE", 0, "Where it goes", 0},
	{0},
};

error_t common_parse(int key, char *argument, struct argp_state *state)
{
	struct common_arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		arguments->fail_on = UINT64_MAX;
		if (state->child_inputs)
			state->child_inputs[0] = arguments;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->target)
			return command_mistake(state,
				error_create(ERROR_USAGE, "one TARGET at a time; see '%s --help'",
					state->name));
		arguments->target = argument;
		return 0;
	case 'o':
		arguments->file = argument;
		return 0;
	case 'n':
		return command_number(state, "--top", argument, TOP_MAX, &arguments->top);
	case 'f':
		if (!parse_bytes(argument, &arguments->fail_on))
			return 0;
		return command_mistake(state,
			error_create(ERROR_USAGE, "--fail-on takes a size such as 64K, 10M or 1G"));
	case KEY_JSON:
		arguments->json = true;
		arguments->json_file = argument;
		if (!argument || *argument)
			return 0;
		return command_mistake(
			state, error_create(ERROR_USAGE, "--json= needs the name of a file"));
	case KEY_EXE:
		arguments->exe = argument;
		return 0;
	case KEY_FORK:
		arguments->method = CAPTURE_FORK;
		return 0;
	case KEY_STOP:
		arguments->method = CAPTURE_STOP;
		return 0;
	case KEY_COLOR:
		if (color_parse(argument, &arguments->color))
			return 0;
		return command_mistake(
			state, error_create(ERROR_USAGE, "--color takes auto, always or never"));
	case KEY_NO_PROGRESS:
		arguments->no_progress = true;
		return 0;
	case 'v':
		arguments->verbose = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_file(int key, char *argument, struct argp_state *state)
{
	const struct common_arguments *arguments = state->input;

	if (key != ARGP_KEY_END)
		return common_parse(key, argument, state);
	if (arguments->target && arguments->file)
		return 0;
	return command_mistake(
		state, error_create(ERROR_USAGE, "a TARGET and -o FILE are needed; see '%s --help'",
			       state->name));
}

// Each has at most one child, to which common_parse() hands the arguments on.
static const struct argp source_argp = {.options = source_options, .parser = common_parse};
static const struct argp_child source_children[] = {{&source_argp, 0, NULL, 0}, {0}};

static const struct argp watch_argp = {
	.options = watch_options, .parser = common_parse, .children = source_children};
static const struct argp_child watch_children[] = {{&watch_argp, 0, NULL, 0}, {0}};

static const struct argp display_argp = {
	.options = display_options, .parser = common_parse, .children = watch_children};
const struct argp_child common_children[] = {{&display_argp, 0, NULL, 0}, {0}};

static const struct argp findings_argp = {
	.options = findings_options, .parser = common_parse, .children = common_children};
const struct argp_child findings_children[] = {{&findings_argp, 0, NULL, 0}, {0}};

static const struct argp snap_argp = {
	.options = file_options, .parser = parse_file, .children = watch_children};
const struct argp_child snap_children[] = {{&snap_argp, 0, NULL, 0}, {0}};

static const struct argp dump_argp = {
	.options = file_options, .parser = parse_file, .children = source_children};
const struct argp_child dump_children[] = {{&dump_argp, 0, NULL, 0}, {0}};

struct analysis_options common_options(const struct common_arguments *arguments)
{
	return (struct analysis_options){
		.capture = {.method = arguments->method},
		.exe = arguments->exe,
	};
}

static void remark_print(void *context, const char *line)
{
	fprintf(stderr, "heapwhy: %s\n", line);
}

static struct error *open_analysis(
	const struct common_arguments *arguments, struct target **rejected, struct analysis **out)
{
	struct analysis_options options = common_options(arguments);
	struct progress_line line;

	// One or the other: they would write over each other.
	progress_line_init(&line, !arguments->no_progress && !arguments->verbose);
	if (arguments->verbose)
		log_set_sink(remark_print, NULL);
	options.progress = &line.progress;
	options.rejected = rejected;
	struct error *err = analysis_open(arguments->target, &options, out);
	progress_line_clear(&line);
	return err;
}

struct error *common_open(const struct common_arguments *arguments, struct analysis **out)
{
	return open_analysis(arguments, NULL, out);
}

static struct error *read_report(const char *path, struct report **out)
{
	struct snapshot *snapshot;
	struct error *err = snapshot_open(path, &snapshot);

	if (err)
		return err;
	err = snapshot_report(snapshot, out);
	snapshot_close(snapshot);
	return err;
}

struct error *common_report(const struct common_arguments *arguments,
	const struct report_options *options, struct target **rejected, struct report **out)
{
	struct analysis *analysis;

	if (snapshot_is_likely(arguments->target))
		return read_report(arguments->target, out);
	struct error *err = open_analysis(arguments, rejected, &analysis);
	if (err)
		return err;
	err = report_build(analysis, options, out);
	analysis_close(analysis);
	return err;
}

struct style common_style(const struct common_arguments *arguments, unsigned top)
{
	struct style style =
		terminal_style(arguments->color, arguments->top ? arguments->top : top);

	style.everything = arguments->top != 0;
	return style;
}

int common_verdict(const struct common_arguments *arguments, uint64_t bytes)
{
	return bytes && bytes >= arguments->fail_on;
}

struct error *common_output(const struct common_arguments *arguments, const struct text *text)
{
	if (text->failed)
		return error_no_memory();
	return arguments->json_file ? output_file(arguments->json_file, text) : output_print(text);
}
