// Temporary files. See temporary.h.
#include "base/temporary.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/cleanup.h"

const char *temporary_directory(void)
{
	const char *directory = getenv("TMPDIR");

	return directory && *directory ? directory : "/var/tmp";
}

int temporary_file(const char *directory)
{
	_cleanup_free_ char *name = NULL;

	if (asprintf(&name, "%s/heapwhy.XXXXXX", directory) < 0) {
		name = NULL;
		return -1;
	}
	int fd = mkostemp(name, O_CLOEXEC);
	if (fd >= 0)
		unlink(name);
	return fd;
}
