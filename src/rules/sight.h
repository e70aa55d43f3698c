// Is anybody to be seen who could do something with a channel or a lock?
//
// A goroutine that uses an object has it on its stack, or is in a function that will read it from the global variable it
// hangs on. So when no goroutine's stack leads to the object, and no function that some goroutine is in refers to that
// variable in what it can still execute, nobody is at it. Functions that timers will call count as well; of memory that
// variables only point to, pointers there that goroutines have, directly or not. Who waits in the same way does not count:
// another sender does not receive. Nor does who will never be woken. That is no proof, for a goroutine may call such a
// function later, or be started; findings that rest on it are suspected.
//
//	struct sight *sight;
//	err = sight_create(run, "chan send", &sight);       // senders do not count
//	if (!sight_of_object(sight, channel)) ...
//	sight_destroy(sight);
#ifndef RULES_SIGHT_H
#define RULES_SIGHT_H

#include "rules/rule.h"

struct sight;

// Takes up to as much time as marking. `reason`: as in struct goroutine's wait_reason.
struct error *sight_create(struct rule_run *run, const char *reason, struct sight **out);
void sight_destroy(struct sight *sight); // accepts NULL

// In doubt, as of what hangs on no global variable, somebody is.
bool sight_of_object(struct sight *sight, object_id object);

// The same, but of goroutines that have it on their stacks only those count that will look at it by the code ahead of them
// (stacks_ahead.h): who merely has it does nothing with it.
bool sight_of_object_ahead(struct sight *sight, object_id object);

// The same as sight_of_object() for what lies in a global variable itself.
bool sight_of_global(struct sight *sight, remote_addr address);

// Where in the program's variables the way begins that leads to the object, or 0: it hangs on none.
remote_addr sight_variable(const struct sight *sight, object_id object);

#endif
