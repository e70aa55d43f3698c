// What closures keep, and their code never looks at (goruntime/code_use.h).
//
//	struct closure_needs needs;
//	err = closure_needs_init(&needs, run);
//	err = closure_unneeded(&needs, closure, &bytes);
//	closure_needs_deinit(&needs);
#ifndef RULES_CLOSURE_NEEDS_H
#define RULES_CLOSURE_NEEDS_H

#include "goruntime/code_use.h"
#include "rules/rule.h"

struct closure_needs {
	struct rule_run *run;
	struct heap_reader *reader;
	struct code_uses *uses;
};
struct error *closure_needs_init(struct closure_needs *needs, struct rule_run *run);
void closure_needs_deinit(struct closure_needs *needs); // also after an error

// Bytes that only the closure keeps, and would not if it had captured copies of what its code may look at. 0 when the code
// does not tell.
struct error *closure_unneeded(struct closure_needs *needs, object_id closure, uint64_t *out);

#endif
