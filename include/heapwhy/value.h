// Copying values whose size is known at run time only; for the containers' own inline functions.
#ifndef HEAPWHY_VALUE_H
#define HEAPWHY_VALUE_H

#include <stddef.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

// Most values are a pointer or a number, and a call of memcpy takes longer than the copy. The look at the object's size
// keeps the compiler from warning where it sees that the object is smaller, and this branch is never taken.
static inline void hw_value_copy(void *to, const void *from, size_t bytes)
{
	if (bytes == 8 && __builtin_object_size(to, 0) >= 8)
		memcpy(to, from, 8);
	else
		memcpy(to, from, bytes);
}

#ifdef __cplusplus
}
#endif

#endif
