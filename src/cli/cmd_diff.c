// heapwhy diff OLD NEW: what grew, what appeared, who holds it?
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/common.h"
#include "diff/diff.h"

enum { TARGETS_MAX = 32, TOP_DEFAULT = 6 };

struct diff_arguments {
	struct common_arguments common;
	const char *targets[TARGETS_MAX];
	uint32_t count;
};

static error_t target_add(
	struct diff_arguments *arguments, const char *target, struct argp_state *state)
{
	for (uint32_t i = 0; i < arguments->count; i++)
		if (!strcmp(arguments->targets[i], target))
			return command_mistake(
				state, error_create(ERROR_USAGE,
					       "%s twice: keep what it is now (heapwhy snap %s -o "
					       "old.hw) and compare later",
					       target, target));
	if (arguments->count == TARGETS_MAX)
		return command_mistake(
			state, error_create(ERROR_USAGE, "at most %d targets", TARGETS_MAX));
	arguments->targets[arguments->count++] = target;
	return 0;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct diff_arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->common;
		return 0;
	case ARGP_KEY_ARG:
		return target_add(arguments, argument, state);
	case ARGP_KEY_END:
		if (arguments->count >= 2)
			return 0;
		return command_mistake(
			state, error_create(ERROR_USAGE, "diff needs an OLD and a NEW target"));
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "OLD [...] NEW",
	.doc = "What grew between looks at a program, what appeared, who holds it?\v"
	       "Each is a snapshot, a core file or the id of a running process, the oldest first. "
	       "Three looks or more tell growth that goes on from warming up.",
	.children = findings_children,
};

// A process or core is analysed and written to a file in memory.
static struct error *snapshot_make(struct common_arguments arguments, struct snapshot **out)
{
	struct analysis *analysis;

	if (snapshot_is_likely(arguments.target))
		return snapshot_open(arguments.target, out);
	struct error *err = common_open(&arguments, &analysis);
	if (err)
		return err;
	int fd = memfd_create("snapshot", MFD_CLOEXEC);
	err = fd < 0 ? error_errno(ERROR_INTERNAL, "room for a snapshot")
		     : snapshot_write(analysis, fd);
	analysis_close(analysis);
	if (!err)
		return snapshot_open_fd(fd, out);
	if (fd >= 0)
		close(fd);
	return err;
}

static struct error *looks_take(
	const struct diff_arguments *arguments, struct snapshot **looks, struct diff **out)
{
	for (uint32_t i = 0; i < arguments->count; i++) {
		struct common_arguments common = arguments->common;

		common.target = arguments->targets[i];
		struct error *err = snapshot_make(common, &looks[i]);
		if (err)
			return err;
	}
	return diff_build(looks, arguments->count, out);
}

static struct error *write_diff(const struct diff_arguments *arguments, const struct diff *diff)
{
	struct style style = common_style(&arguments->common, TOP_DEFAULT);
	_cleanup_text_ struct text text = TEXT_INIT;

	struct error *err =
		arguments->common.json ? diff_json(diff, &text) : diff_text(diff, &style, &text);

	return err ? err : common_output(&arguments->common, &text);
}

static struct error *run(const struct command *command, int argc, char **argv, int *status)
{
	struct diff_arguments arguments = {0};
	struct snapshot *looks[TARGETS_MAX] = {NULL};
	struct diff *diff = NULL;
	struct error *err = command_parse(command, argc, argv, &arguments);

	if (err)
		return err;
	err = looks_take(&arguments, looks, &diff);
	for (uint32_t i = 0; i < arguments.count; i++)
		snapshot_close(looks[i]);
	if (err)
		return err;
	err = write_diff(&arguments, diff);
	if (!err)
		*status = common_verdict(&arguments.common, diff_held_for_nothing(diff));
	diff_destroy(diff);
	return err;
}

const struct command command_diff = {
	.name = "diff",
	.summary = "what grew between looks at a program, and who holds it",
	.argp = &argp,
	.run = run,
};
