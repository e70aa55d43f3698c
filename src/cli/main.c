// heapwhy: why is this Go program holding so much memory?
//
// Finds the command, runs it, turns its error into one line and an exit code. Commands are in the table below, a file
// each (command.h).
#include <fcntl.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cancel.h"
#include "cli/command.h"

const struct command *const commands[] = {
	&command_report,
	&command_diff,
	&command_paths,
	&command_rss,
	&command_dump,
	&command_snap,
	&command_core_handler,
	&command_version,
	&command_help,
	NULL,
};

// Interrupted twice means now: the second signal finds the default action. Even then the process being examined goes
// on as it was (docs/capture.md).
static void signals_catch(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = cancel_request, .sa_flags = SA_RESETHAND};
	struct sigaction now;

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (!sigaction(numbers[i], NULL, &now) && now.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
	// A reader that has gone away must not end us while a process stands still; output_*() takes the default action
	// back.
	signal(SIGPIPE, SIG_IGN);
}

// Our memory holds another process's secrets: no core dumps, files for the owner only. A missing standard descriptor
// would be taken by the first file we open, and written to.
static void privacy_protect(void)
{
	umask(077);
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
#ifndef __SANITIZE_ADDRESS__ // its leak check traces us
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			_exit(ERROR_INTERNAL);
}

static int fail(struct error *err)
{
	// What an interruption broke on its way is no news.
	int signal_number = cancel_signal();

	if (signal_number) {
		error_destroy(err);
		signal(signal_number, SIG_DFL);
		raise(signal_number);
		return ERROR_CANCELLED;
	}
	int status = error_kind(err);
	fprintf(stderr, "heapwhy: %s\n", error_message(err));
	error_destroy(err);
	return status;
}

static const struct command *command_choose(int argc, char **argv)
{
	if (argc < 2)
		return NULL;
	if (!strcmp(argv[1], "--version"))
		return &command_version;
	if (!strcmp(argv[1], "--help"))
		return &command_help;
	return command_find(argv[1]);
}

// The C library loads what it needs to convert characters when it converts the first. Without memory then, it takes all but
// ASCII for invalid from there on, in a locale that still says UTF-8, and libsmartcols (2.38) tries for ever.
static void locale_set(void)
{
	wchar_t wide;

	setlocale(LC_CTYPE, ""); // and no more: numbers are to look the same everywhere
	if (MB_CUR_MAX > 1 && mbtowc(&wide, "\u2192", MB_CUR_MAX) < 0)
		setlocale(LC_CTYPE, "C");
}

// What one phase of the work frees, the next one asks for again: it need not come from the kernel page by page each time.
// The biggest arrays still go back at once.
static void memory_keep(void)
{
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 4 << 20);
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

int main(int argc, char **argv)
{
	const struct command *command = command_choose(argc, argv);
	int status = 0;

	memory_keep();
	locale_set();
	privacy_protect();
	signals_catch();
	struct error *err = command ? command->run(command, argc - 1, argv + 1, &status)
				    : command_report.run(&command_report, argc, argv, &status);
	return err ? fail(err) : status;
}
