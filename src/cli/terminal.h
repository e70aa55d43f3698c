// Where output goes: the terminal's manners, the progress line, files that are there whole or not at all.
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include "base/error.h"
#include "base/progress.h"
#include "base/text.h"
#include "output/style.h"

enum color_when { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

// "auto", "always", "never". False for anything else.
bool color_parse(const char *word, enum color_when *when);

// How text on standard output should look: COLUMNS or the terminal's width, colours only on a terminal that wants them
// (NO_COLOR, TERM=dumb), signs beyond ASCII only where the locale has them.
struct style terminal_style(enum color_when color, unsigned top);

// A line on standard error that says what is going on; nothing at all unless that is a terminal.
struct progress_line {
	bool wanted;
	struct progress progress; // to be handed to the analysis
};
void progress_line_init(struct progress_line *line, bool wanted);
void progress_line_clear(const struct progress_line *line);

// Writes everything to standard output, flushed and checked. A reader that has gone away (`| head`) ends the process by
// SIGPIPE as usual, so nothing that must be given back may be held any more.
struct error *output_print(const struct text *text);

// A file that only its owner may read, and that appears under its name only when it is complete.
struct output {
	int fd;
	char *path, *temporary;
};
struct error *output_begin(const char *path, struct output *out);
// Ends it: with the complete file when `err` is NULL, otherwise without. Returns `err`, or what went wrong here.
struct error *output_end(struct output *output, struct error *err);

// Writes a file that only its owner may read. A regular file appears under its name only when it is complete;
// a pipe or device is written to.
struct error *output_file(const char *path, const struct text *text);

#endif
