// What the commands that examine a target have in common.
#ifndef CLI_COMMON_H
#define CLI_COMMON_H

#include "cli/command.h"
#include "cli/terminal.h"
#include "graph/analysis.h"
#include "output/report.h"

struct common_arguments {
	const char *target; // NULL: none was given
	const char *file;   // of -o
	enum capture_method method;
	enum color_when color;
	bool json, no_progress, verbose;
	const char *exe;       // of a core; NULL: looked for
	const char *json_file; // NULL: standard output
	unsigned top;          // 0: not said
	uint64_t fail_on;      // UINT64_MAX: never
};

// Child parsers, whose input is a struct common_arguments. All take one TARGET, which may be missing, --exe, --fork and
// --stop.
extern const struct argp_child common_children[];   // and --json, --color, --no-progress, --verbose
extern const struct argp_child findings_children[]; // and those, --top, --fail-on
extern const struct argp_child
	snap_children[]; // and -o FILE, --no-progress, --verbose; both must be there
extern const struct argp_child dump_children[]; // and -o FILE; both must be there

// A parser for commands whose arguments are a struct common_arguments and no more: argp hands nothing on by itself.
error_t common_parse(int key, char *argument, struct argp_state *state);

// What the arguments say about opening the target; nobody watches.
struct analysis_options common_options(const struct common_arguments *arguments);

// Opens the target as the arguments say, with progress on the terminal.
struct error *common_open(const struct common_arguments *arguments, struct analysis **out);

// The report on a target, or the one that a snapshot holds. The target is let go and the analysis's memory given back.
// `rejected`: as in struct analysis_options.
struct error *common_report(const struct common_arguments *arguments,
	const struct report_options *options, struct target **rejected, struct report **out);

// How output should look that has so many rows in each table where --top does not say otherwise. Who asks for rows gets
// all kinds of them.
struct style common_style(const struct common_arguments *arguments, unsigned top);

// The exit code of a command that found `bytes` held for nothing.
int common_verdict(const struct common_arguments *arguments, uint64_t bytes);

// Prints `text` or writes it to the file that --json asked for.
struct error *common_output(const struct common_arguments *arguments, const struct text *text);

#endif
