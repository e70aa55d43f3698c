// What the commands that examine a target have in common.
#ifndef CLI_COMMON_H
#define CLI_COMMON_H

#include "cli/command.h"
#include "cli/terminal.h"
#include "graph/analysis.h"
#include "output/report.h"

struct common_arguments {
	enum capture_method method;
	enum color_when color;
	bool json, no_progress, verbose;
	const char *exe;       // of a core; NULL: looked for
	const char *json_file; // NULL: standard output
};

// A child parser for --exe, --fork, --stop, --no-progress, --verbose. Its input is a struct common_arguments.
extern const struct argp_child capture_children[];

// The same, and --json, --color.
extern const struct argp_child common_children[];

// Opens `name` as the arguments say, with progress on the terminal.
struct error *common_open(
	const struct common_arguments *arguments, const char *name, struct analysis **out);

// The report on a target, or the one that a snapshot holds. The target is let go and the analysis's memory given back.
// `rejected`: as in struct analysis_options.
struct error *common_report(const struct common_arguments *arguments, const char *name,
	const struct report_options *options, struct target **rejected, struct report **out);

// Prints `text` or writes it to the file that --json asked for.
struct error *common_output(const struct common_arguments *arguments, const struct text *text);

#endif
