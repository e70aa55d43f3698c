// Where output goes. See terminal.h.
#include "cli/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/units.h"

bool color_parse(const char *word, enum color_when *when)
{
	static const char *const words[] = {
		[COLOR_AUTO] = "auto", [COLOR_ALWAYS] = "always", [COLOR_NEVER] = "never"};

	for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
		if (!strcmp(word, words[i])) {
			*when = (enum color_when)i;
			return true;
		}
	}
	return false;
}

static unsigned terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	unsigned long width = columns ? strtoul(columns, NULL, 10) : 0;
	struct winsize size;

	if (!width && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		width = size.ws_col;
	if (!width)
		width = 100;
	if (width < STYLE_NARROWEST)
		return STYLE_NARROWEST;
	return width > STYLE_WIDEST ? STYLE_WIDEST : (unsigned)width;
}

static bool terminal_wants_color(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && *term &&
	       strcmp(term, "dumb");
}

struct style terminal_style(enum color_when color, unsigned top)
{
	return (struct style){
		.width = terminal_width(),
		.color = color == COLOR_ALWAYS || (color == COLOR_AUTO && terminal_wants_color()),
		.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8"),
		.top = top,
	};
}

static void progress_show(void *context, const char *phase, uint64_t bytes)
{
	char buffer[24];

	fprintf(stderr, "\r\033[Kheapwhy: %s", phase);
	if (bytes)
		fprintf(stderr, " (%s)", format_bytes(buffer, sizeof(buffer), bytes));
	fputs(" ...", stderr);
	fflush(stderr);
}

void progress_line_init(struct progress_line *line, bool wanted)
{
	*line = (struct progress_line){.wanted = wanted && isatty(STDERR_FILENO)};
	if (line->wanted)
		line->progress.show = progress_show;
}

void progress_line_clear(const struct progress_line *line)
{
	if (line->wanted)
		fputs("\r\033[K", stderr);
}

struct error *output_print(const struct text *text)
{
	signal(SIGPIPE, SIG_DFL);
	if (fwrite(text->bytes, 1, text->length, stdout) == text->length && !fflush(stdout))
		return NULL;
	return error_errno(ERROR_INTERNAL, "cannot write to standard output");
}

static bool write_all(int fd, const char *bytes, size_t length)
{
	while (length) {
		ssize_t written = write(fd, bytes, length);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		bytes += written;
		length -= (size_t)written;
	}
	return true;
}

static struct error *write_special(const char *path, const struct text *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || !write_all(fd, text->bytes, text->length))
		return error_errno(ERROR_INTERNAL, "cannot write %s", path);
	return NULL;
}

// A link is followed, so that the file it names is replaced and not the link. mkostemp makes the file readable for the
// owner only.
struct error *output_begin(const char *path, struct output *out)
{
	struct output output = {.fd = -1, .path = realpath(path, NULL)};

	if (!output.path)
		output.path = strdup(path);
	if (!output.path || asprintf(&output.temporary, "%s.XXXXXX", output.path) < 0) {
		free(output.path);
		return error_no_memory();
	}
	output.fd = mkostemp(output.temporary, O_CLOEXEC);
	if (output.fd < 0) {
		struct error *err =
			error_errno(ERROR_INTERNAL, "cannot create a file beside %s", path);
		free(output.temporary);
		free(output.path);
		return err;
	}
	*out = output;
	return NULL;
}

static void output_free(struct output *output)
{
	free(output->temporary);
	free(output->path);
}

static void output_abandon(struct output *output)
{
	close(output->fd);
	unlink(output->temporary);
	output_free(output);
}

// fsync before rename: a crash must not leave the name with nothing behind it. Closing may be what tells that a network
// disk is full.
static struct error *output_commit(struct output *output)
{
	struct error *err = NULL;
	bool failed = fsync(output->fd) != 0;
	int reason = errno;

	if (close(output->fd) && !failed) {
		reason = errno;
		failed = true;
	}
	if (!failed && rename(output->temporary, output->path)) {
		reason = errno;
		failed = true;
	}
	if (failed) {
		errno = reason;
		err = error_errno(ERROR_INTERNAL, "cannot write %s", output->path);
		unlink(output->temporary);
	}
	output_free(output);
	return err;
}

struct error *output_end(struct output *output, struct error *err)
{
	if (!err)
		return output_commit(output);
	output_abandon(output);
	return err;
}

struct error *output_file(const char *path, const struct text *text)
{
	struct stat status;

	// Before realpath: what /dev/stdout leads to may have no path.
	if (!stat(path, &status) && !S_ISREG(status.st_mode))
		return write_special(path, text);
	struct output output = {.fd = -1};
	struct error *err = output_begin(path, &output);
	if (err)
		return err;
	if (!write_all(output.fd, text->bytes, text->length))
		err = error_errno(ERROR_INTERNAL, "cannot write %s", path);
	return output_end(&output, err);
}
