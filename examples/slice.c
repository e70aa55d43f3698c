// A header kept from a large body, and what that costs until it is compacted.
#include <stdio.h>
#include <string.h>

#include <heapwhy/slice.h>

int main(void)
{
	struct hw_slice body, head;

	if (!hw_slice_make(&body, NULL, 1 << 20, NULL))
		return 1; // out of memory
	memset(body.data, 'x', body.length);
	hw_slice_share(&head, &body, 0, 16);
	hw_slice_release(&body);
	size_t before = hw_slice_pinned(&head);
	if (!hw_slice_compact(&head, NULL))
		return 1;
	printf("%zu bytes were kept for nothing, now %zu\n", before, hw_slice_pinned(&head));
	int wrong = before != (1 << 20) - 16 || memcmp(head.data, "xxxxxxxxxxxxxxxx", 16);
	hw_slice_release(&head);
	return wrong;
}
