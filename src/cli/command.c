// Arguments of commands. See command.h.
//
// argp would print two lines about a mistake and exit by itself; it is told to be silent (ARGP_NO_ERRS), and what it
// stumbled over is found from where it stopped.
#include "cli/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static struct error *found_mistake;

const struct command *command_find(const char *name)
{
	for (const struct command *const *command = commands; *command; command++)
		if (!strcmp((*command)->name, name))
			return *command;
	return NULL;
}

const char *command_title(const struct command *command)
{
	static char title[64];

	if (command == &command_report)
		return "heapwhy";
	snprintf(title, sizeof(title), "heapwhy %s", command->name);
	return title;
}

error_t command_mistake(struct argp_state *state, struct error *mistake)
{
	error_destroy(found_mistake);
	found_mistake = mistake;
	return EINVAL;
}

error_t command_number(struct argp_state *state, const char *option, const char *word,
	unsigned most, unsigned *out)
{
	char *end;
	unsigned long number = strtoul(word, &end, 10);

	if (*word < '0' || *word > '9' || *end || !number || number > most)
		return command_mistake(state,
			error_create(ERROR_USAGE, "%s takes a number from 1 to %u", option, most));
	*out = (unsigned)number;
	return 0;
}

struct error *command_parse(const struct command *command, int argc, char **argv, void *arguments)
{
	int stopped = 0;

	argv[0] = (char *)command_title(command);
	error_t failed = argp_parse(command->argp, argc, argv, ARGP_NO_ERRS, &stopped, arguments);
	struct error *err = found_mistake;
	found_mistake = NULL;
	if (!failed) {
		error_destroy(err);
		return NULL;
	}
	if (err)
		return err;
	if (failed == ENOMEM)
		return error_no_memory();
	_cleanup_text_ struct text what = TEXT_INIT;
	const char *argument = argv[stopped > 1 ? stopped - 1 : stopped];
	text_append_untrusted(&what, argument, strlen(argument));
	return error_create(ERROR_USAGE,
		"%s: not an option, or its value is missing or not wanted; see '%s --help'",
		what.bytes, command_title(command));
}
