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

// What the parsing found besides the command's own arguments.
struct parsing {
	void *arguments; // the command's
	int stopped;     // where argp was when something was wrong
	unsigned help;   // argp_help() flags: --help or --usage was among the arguments
};

enum { KEY_USAGE = 0x200 };

static const struct argp_option help_options[] = {
	{"help", '?', NULL, 0, "Explain the command", -1},
	{"usage", KEY_USAGE, NULL, 0, "A short reminder of the options", 0},
	{0},
};

static error_t parse_help(int key, char *argument, struct argp_state *state)
{
	struct parsing *parsing = state->input;

	if (key != '?' && key != KEY_USAGE)
		return ARGP_ERR_UNKNOWN;
	parsing->help = key == '?' ? ARGP_HELP_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC
				   : (unsigned)ARGP_HELP_USAGE;
	return 0;
}

static error_t parse_root(int key, char *argument, struct argp_state *state)
{
	struct parsing *parsing = state->input;

	if (key == ARGP_KEY_INIT) {
		state->child_inputs[0] = parsing->arguments;
		state->child_inputs[1] = parsing;
		return 0;
	}
	if (key == ARGP_KEY_ERROR)
		parsing->stopped = state->next;
	return ARGP_ERR_UNKNOWN;
}

static const struct argp help_argp = {.options = help_options, .parser = parse_help};

void command_explain(const struct command *command, unsigned flags)
{
	struct argp_child children[] = {{command->argp, 0, NULL, 0}, {&help_argp, 0, NULL, 0}, {0}};
	struct argp argp = {.children = children};

	// Without its note that arguments of long options are arguments of short ones, too.
	setenv("ARGP_HELP_FMT", "no-dup-args-note", 0);
	argp_help(&argp, stdout, flags, (char *)command_title(command));
}

// What argp stumbled over: the argument before the one where it stopped, unless it stopped amid letters ("-xv").
static const char *mistaken_argument(int stopped, int argc, char **argv)
{
	int at = stopped;

	if (at > 1 && (*argv[at - 1] == '-' || at >= argc))
		at--;
	return at < argc ? argv[at] : argv[argc - 1];
}

struct error *command_parse(const struct command *command, int argc, char **argv, void *arguments)
{
	struct parsing parsing = {.arguments = arguments};
	struct argp_child children[] = {{command->argp, 0, NULL, 0}, {&help_argp, 0, NULL, 0}, {0}};
	struct argp argp = {.parser = parse_root, .children = children};

	argv[0] = (char *)command_title(command);
	error_t failed = argp_parse(&argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, &parsing);
	struct error *err = found_mistake;
	found_mistake = NULL;
	if (parsing.help) {
		error_destroy(err);
		command_explain(command, parsing.help);
		exit(0);
	}
	if (!failed)
		return NULL;
	if (err)
		return err;
	if (failed == ENOMEM)
		return error_no_memory();
	_cleanup_text_ struct text what = TEXT_INIT;
	const char *argument = mistaken_argument(parsing.stopped, argc, argv);
	text_append_untrusted(&what, argument, strlen(argument));
	return error_create(ERROR_USAGE,
		"%s: not an option, or its value is missing or not wanted; see '%s --help'",
		what.bytes, command_title(command));
}
