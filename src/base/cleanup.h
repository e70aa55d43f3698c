// Scope-bound cleanup, by the compilers' `cleanup` attribute.
//
//	_cleanup_free_ char *name = strdup(s);     // freed on every way out of the scope
//	return take_pointer(name);                 // ... unless it is handed over
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>
#include <stdio.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

static inline void cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclose(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)

// Hand `pointer` to the caller and forget it here.
#define take_pointer(pointer)                           \
	({                                              \
		__typeof__(pointer) taken_ = (pointer); \
		(pointer) = NULL;                       \
		taken_;                                 \
	})

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
