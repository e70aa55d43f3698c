// Inside typing: what is said about the objects in the end.
#ifndef GORUNTIME_TYPING_REPORT_H
#define GORUNTIME_TYPING_REPORT_H

#include "goruntime/typing_private.h"

struct labels;

// Numbers everything that objects are reported as. No claim may change afterwards.
struct error *labels_create(struct typing *typing, struct labels **out);
void labels_destroy(struct labels *labels); // accepts NULL

#endif
