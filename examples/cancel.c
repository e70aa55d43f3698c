// A request with two queries; one ends by itself, the other one with the request.
#include <stdio.h>

#include <heapwhy/cancel.h>

int main(void)
{
	struct hw_cancel request, quick, slow;

	hw_cancel_init(&request, NULL);
	hw_cancel_init(&quick, &request);
	hw_cancel_init(&slow, &request);
	hw_cancel_deinit(&quick); // done: the request keeps nothing of it
	hw_cancel_set(&request, "the client has gone");
	printf("the slow query ends: %s\n", hw_cancel_reason(&slow));
	int wrong = !hw_cancel_is_set(&slow) || !hw_list_is_empty(&request.children);
	hw_cancel_deinit(&slow);
	hw_cancel_deinit(&request);
	return wrong;
}
