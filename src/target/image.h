// A target made of bytes in our own memory, for tests and fuzzers.
#ifndef TARGET_IMAGE_H
#define TARGET_IMAGE_H

#include "target/target.h"

struct error *image_create(struct target **out);

// Adds a region holding a copy of `size` bytes. Regions must not overlap.
struct error *image_add(struct target *target, const struct region *region, const void *bytes);

// Adds a thread with the given registers.
struct error *image_add_thread(struct target *target, const struct target_thread *thread);

#endif
