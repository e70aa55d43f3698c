// Inside typing: what is said about the objects in the end.
#ifndef GORUNTIME_TYPING_LABELS_H
#define GORUNTIME_TYPING_LABELS_H

#include "goruntime/typing_private.h"

struct labels;

// Numbers everything that objects are reported as. The claims are gone then: labels_claim() tells those of live objects.
struct error *labels_create(struct typing *typing, struct labels **out);
void labels_destroy(struct labels *labels); // accepts NULL

uint32_t labels_of(const struct labels *labels, object_id id);
uint32_t labels_claim(const struct labels *labels, object_id id); // without CLAIM_FIRM

// At any time.
static inline uint32_t typing_claim_of(const struct typing *typing, object_id id)
{
	return typing->labels ? labels_claim(typing->labels, id) : typing->claims[id];
}

#endif
