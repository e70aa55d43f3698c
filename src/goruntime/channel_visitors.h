// Who may come to a channel that hangs on a global variable, by the program's code: functions that refer to the variable.
//
// Whoever is at a channel has it on his stack. Others only look in: a select with a default, a receive in a function that
// is called for every element. Between two calls nothing of them is to be seen but their code.
//
//	struct channel_visitors visitors = {0};
//	err = channel_visitors_find(typing, slot, &visitors);   // slot: of the variable, where it leads to the channel
//	if (visitors.take) ...
//	channel_visitors_deinit(&visitors);
//
// Only amd64 code is read: of other code nothing is found. Code is followed along the lines as they are written, not along
// its jumps, and what it does with a channel that it has from elsewhere is not counted. So this is good for doubts, and
// proves nothing.
#ifndef GORUNTIME_CHANNEL_VISITORS_H
#define GORUNTIME_CHANNEL_VISITORS_H

#include "goruntime/typing.h"
#include "heapwhy/vector.h"

struct channel_visitors {
	// Entries of the functions, in no order. What runs once is not among them: main.main, initialisers.
	HW_VECTOR(remote_addr) functions;
	// One of them, or one that it calls, receives without staying for the next element.
	bool take;
};

// `out` must be empty. Reads the program's data.
struct error *channel_visitors_find(
	struct typing *typing, remote_addr slot, struct channel_visitors *out);
void channel_visitors_deinit(struct channel_visitors *visitors);

#endif
