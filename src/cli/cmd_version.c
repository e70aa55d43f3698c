// heapwhy version
#include <stdio.h>

#include "cli/command.h"
#include "cli/terminal.h"
#include "goruntime/layout.h"

static const struct argp argp = {
	.doc = "Print the version of heapwhy and the versions of Go that it knows."};

static struct error *run(const struct command *command, int argc, char **argv, int *status)
{
	_cleanup_text_ struct text text = TEXT_INIT;
	struct error *err = command_parse(command, argc, argv, NULL);

	if (err)
		return err;
	text_append(&text, "heapwhy " HEAPWHY_VERSION "\n");
	text_printf(&text, "knows %s to %s on linux/amd64, and in cores of linux/arm64\n",
		layout_table[0].version, layout_table[layout_table_count - 1].version);
	return text.failed ? error_no_memory() : output_print(&text);
}

const struct command command_version = {
	.name = "version",
	.summary = "print the version",
	.argp = &argp,
	.run = run,
};
