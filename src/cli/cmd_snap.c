// heapwhy snap TARGET -o FILE: an analysed heap in a file.
#include "cli/common.h"
#include "output/snapshot.h"

static const struct argp argp = {
	.parser = common_parse,
	.args_doc = "TARGET -o FILE",
	.doc = "Write an analysed heap to a file (FILE.hw) that opens at once, anywhere.\v"
	       "TARGET is the id of a running Go process, or a core file of one. Only its owner "
	       "may read FILE, which appears when it is complete.",
	.children = snap_children,
};

static struct error *run(const struct command *command, int argc, char **argv, int *status)
{
	struct common_arguments arguments = {0};
	struct analysis *analysis;
	struct output output;
	struct error *err = command_parse(command, argc, argv, &arguments);

	if (!err)
		err = output_begin(arguments.file, &output);
	if (err)
		return err;
	err = common_open(&arguments, &analysis);
	if (!err) {
		err = snapshot_write(analysis, output.fd);
		analysis_close(analysis);
	}
	return output_end(&output, err);
}

const struct command command_snap = {
	.name = "snap",
	.summary = "write an analysed heap to a file that opens at once",
	.argp = &argp,
	.run = run,
};
