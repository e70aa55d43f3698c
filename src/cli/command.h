// The commands of heapwhy, one file each.
//
// To add one: write cmd_NAME.c with its argp and a `const struct command`, declare it below, add it to the table in
// main.c and the file to meson.build, describe its options in packaging/man/heapwhy.1 (a test compares them).
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <argp.h>

#include "base/error.h"

struct command {
	const char *name;    // "paths"
	const char *summary; // for the list of commands
	const struct argp *argp;
	// What to do; the error decides the exit code, *status does when there is none. argv[0] is the command.
	struct error *(*run)(const struct command *command, int argc, char **argv, int *status);
};

extern const struct command command_report;
extern const struct command command_diff;
extern const struct command command_paths;
extern const struct command command_rss;
extern const struct command command_dump;
extern const struct command command_snap;
extern const struct command command_core_handler;
extern const struct command command_version;
extern const struct command command_help;

// The table in main.c, ended by NULL.
extern const struct command *const commands[];

const struct command *command_find(const char *name); // NULL when there is none

// What a command is called in messages: "heapwhy paths"; the report is just "heapwhy".
const char *command_title(const struct command *command);

// Prints the command's help to standard output; `flags` are argp_help()'s.
void command_explain(const struct command *command, unsigned flags);

// Parses the arguments by the command's argp. A mistake becomes one sentence, ERROR_USAGE; --help and --usage end the
// process after printing.
struct error *command_parse(const struct command *command, int argc, char **argv, void *arguments);

// For argp parsers: a mistake found by them. Returned by command_parse().
error_t command_mistake(struct argp_state *state, struct error *mistake);

// For options that take a number from 1 to `most`.
error_t command_number(struct argp_state *state, const char *option, const char *word,
	unsigned most, unsigned *out);

#endif
