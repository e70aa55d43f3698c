// Temporary files without a name: they go when their descriptor does, however we end.
#ifndef BASE_TEMPORARY_H
#define BASE_TEMPORARY_H

// A directory on a real disk for temporary files: $TMPDIR, else /var/tmp (/tmp is often memory
// itself).
const char *temporary_directory(void);

// A new file in `directory` that nobody else can open; -1 (errno) when it cannot be made.
int temporary_file(const char *directory);

#endif
