// heapwhy help [COMMAND]
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/terminal.h"

static error_t parse(int key, char *argument, struct argp_state *state)
{
	const struct command **subject = state->input;

	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	*subject = command_find(argument);
	if (*subject)
		return 0;
	_cleanup_text_ struct text name = TEXT_INIT;
	text_append_untrusted(&name, argument, strlen(argument));
	return command_mistake(
		state, error_create(ERROR_USAGE, "%s: no such command; 'heapwhy help' lists them",
			       name.bytes));
}

static const struct argp argp = {
	.parser = parse,
	.args_doc = "[COMMAND]",
	.doc = "Explain heapwhy or one of its commands.",
};

static struct error *print_overview(void)
{
	_cleanup_text_ struct text text = TEXT_INIT;

	text_append(&text,
		"heapwhy tells why a running Go program holds so much memory: from outside, "
		"without\n"
		"restarting it or changing its code, stopping it only for milliseconds.\n"
		"\n"
		"Usage: heapwhy [OPTION...] TARGET\n"
		"       heapwhy COMMAND [ARGUMENT...]\n"
		"\n"
		"TARGET is the id of a running Go process, a core file of one, or a snapshot "
		"(.hw).\n"
		"\n"
		"Commands:\n");
	for (const struct command *const *command = commands; *command; command++)
		text_printf(&text, "  %-12s %s\n", (*command)->name, (*command)->summary);
	text_append(&text, "\n"
			   "'heapwhy help COMMAND' explains one of them and its options; "
			   "heapwhy(1) is the manual.\n");
	return text.failed ? error_no_memory() : output_print(&text);
}

static struct error *run(const struct command *command, int argc, char **argv, int *status)
{
	const struct command *subject = NULL;
	struct error *err = command_parse(command, argc, argv, &subject);

	if (err)
		return err;
	if (!subject)
		return print_overview();
	command_explain(subject, ARGP_HELP_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC);
	return NULL;
}

const struct command command_help = {
	.name = "help",
	.summary = "explain a command",
	.argp = &argp,
	.run = run,
};
